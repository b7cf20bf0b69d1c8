"""Which GPUs PyTorch can use and whether its loader workers can work; without a GPU, so torch is told stories."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from trainables.contract import Loading
from trainables.frameworks import framework
from trainables.pytorch import check

MIB = 2**20


def raising(error: str, *, warning: str | None = None) -> Callable[[], None]:
    def init() -> None:
        if warning:
            warnings.warn(warning, stacklevel=1)
        raise RuntimeError(error)

    return init


def test_pytorch_for_cpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    found = check.look(device="cuda", loadings=[])
    assert found.devices == ()
    assert found.no_device == f"PyTorch {torch.__version__} is built for CPUs alone"


@pytest.mark.parametrize("visible", ["", "-1", "7"])
def test_gpus_that_are_hidden(monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "init", raising("No CUDA GPUs are available"))
    found = check.look(device="cuda", loadings=[])
    assert found.gpus == f'no GPU (CUDA_VISIBLE_DEVICES is "{visible}" (No CUDA GPUs are available))'


def test_a_driver_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    old = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). Please update it"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "init", raising("CUDA unknown error", warning=old))
    assert check.look(device="cuda", loadings=[]).no_device == old.removesuffix(". Please update it")


def test_a_gpu_that_this_build_cannot_compute_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> torch.Tensor:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nFor debugging ...")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _number: "Tesla K80")
    monkeypatch.setattr(torch, "ones", refuse)
    found = check.look(device="cuda", loadings=[])
    assert (found.devices, found.no_device) == (
        (),
        "CUDA error: no kernel image is available for execution on the device",
    )


def test_gpus_that_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    ones = torch.ones
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"H100-{number}")
    monkeypatch.setattr(torch, "ones", lambda size, device: ones(size))
    found = check.look(device="cuda", loadings=[])
    assert found.gpus == "2 GPUs (H100-0, H100-1)"


def test_gpus_are_left_alone_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang() -> int:
        raise AssertionError("a driver that hangs would be asked")

    monkeypatch.setattr(torch.cuda, "device_count", hang)
    assert check.look(device="cpu", loadings=[]).devices == ()


def test_room_in_shared_memory_is_that_of_all_batches_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    room = SimpleNamespace(f_bavail=60 * 256, f_blocks=64 * 256, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _path: room)
    tried: list[Loading] = []
    monkeypatch.setattr(check, "_hand_over", tried.append)
    asked = [Loading(8196, 2), Loading(2048, 1), Loading(2048, 1, at_once=8), Loading(8196, 1)]
    found = check.look(device="cpu", loadings=asked).no_loading
    assert found[0] == (
        "/dev/shm has 60 MiB free of 64 MiB, and 5 batches of 8196 samples need 123 MiB "
        "(2 loader workers a training, 1 at once)"
    )
    assert found[1] is None
    assert "24 batches of 2048 samples need 147 MiB" in str(found[2])
    assert "3 batches of 8196 samples need 74 MiB" in str(found[3])
    assert tried == [Loading(2048, 1)]  # the largest that has room


def test_one_worker_hands_the_largest_batch_over_in_a_process_of_its_own() -> None:
    found = framework("pytorch").examine(loadings=[Loading(64, 1), Loading(256, 1)])
    assert (found.broken, found.no_loading) == (None, (None, None))
    assert torch.__version__ in found.version
