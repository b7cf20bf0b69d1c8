from __future__ import annotations

from pathlib import Path

import pytest

from trainables import checkpoint
from trainables.files import replacing, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def fail_halfway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_halfway()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_crash_between_model_and_state_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, {"samples": 1}, save_model=lambda path: path.write_text("first") and None)

    def crash(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_text", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, {"samples": 2}, save_model=lambda path: path.write_text("second") and None)
    state = checkpoint.read(tmp_path)
    assert state is not None
    assert state["samples"] == 1
    assert (tmp_path / state["model"]).read_text() == "first"
