"""Which GPUs Flux can use; the Julia here is a shell script."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.contract import Loading
from trainables.flux import runtime as julia_runtime
from trainables.flux.check import look
from trainables.flux.environment import EXE, PROJECT
from trainables.flux.runtime import juliacall_version


def julia(folder: Path, monkeypatch: pytest.MonkeyPatch, *, cuda: str, answer: str) -> None:
    """An executable that answers the probe of versions, and the one of GPUs by ``answer``."""
    executable = folder / "julia"
    versions = "\n".join(f"echo {each}" for each in ("1.10.8", "0.1.0", "0.16.9", juliacall_version(), cuda))
    executable.write_text(f'#!/bin/sh\ncase "$*" in *CUDA.functional*) {answer};; *) {versions};; esac\n')
    executable.chmod(0o755)
    (folder / "project").mkdir()
    monkeypatch.setenv(EXE, str(executable))
    monkeypatch.setenv(PROJECT, str(folder / "project"))
    julia_runtime.forget_probes()


def test_gpus_are_those_that_cuda_jl_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    julia(tmp_path, monkeypatch, cuda="5.8.0", answer="echo 'NVIDIA H100'; echo 'NVIDIA H100'")
    assert look(device="cuda", loadings=[Loading(8, 1)]).gpus == "2 GPUs (NVIDIA H100, NVIDIA H100)"


@pytest.mark.parametrize(
    ("cuda", "answer", "why"),
    [
        ("missing", "true", "has no CUDA.jl; run `tuneoff setup-julia --gpu`"),
        ("5.8.0", "echo 'ERROR: CUDA driver not found' >&2; exit 1", "(ERROR: CUDA driver not found)"),
        ("5.8.0", "true", "CUDA.jl sees none"),
    ],
)
def test_why_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: str, answer: str, why: str) -> None:
    julia(tmp_path, monkeypatch, cuda=cuda, answer=answer)
    found = look(device="cuda", loadings=[])
    assert found.devices == ()
    assert why in found.no_device


def test_threads_need_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXE, "/nonexistent")
    assert look(device="cpu", loadings=[Loading(8196, 4)]).no_loading == (None,)
