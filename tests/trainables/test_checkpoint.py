from __future__ import annotations

from pathlib import Path

import pytest

from trainables import checkpoint


def save(folder: Path, number: int) -> None:
    checkpoint.save(
        folder,
        number,
        {"done": number, "share": number / 7},
        save_model=lambda path: _write(path, b"model %d" % number),
    )


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_pairs_are_kept(tmp_path: Path) -> None:
    for number in range(1, 5):
        save(tmp_path, number)
    assert names(tmp_path) == ["model-000003", "model-000004", "state-000003.json", "state-000004.json"]
    found = checkpoint.read(tmp_path)
    assert found is not None
    assert found.state == {"done": 4, "share": 4 / 7}
    assert found.model == tmp_path / "model-000004"
    assert found.passed_over == ()


def test_two_pairs_are_kept_whatever_lies_between_them(tmp_path: Path) -> None:
    for number in (1, 4, 9):
        save(tmp_path, number)
    assert names(tmp_path) == ["model-000004", "model-000009", "state-000004.json", "state-000009.json"]


def test_nothing_there(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path) is None
    assert checkpoint.read(tmp_path / "missing") is None


def test_a_crash_between_model_and_state_leaves_a_whole_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def crash(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_text", crash)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 2)
    found = checkpoint.read(tmp_path)
    assert found is not None
    assert found.state["done"] == 1
    assert found.model is not None
    assert found.model.read_bytes() == b"model 1"


@pytest.mark.parametrize("victim", ["state-000002.json", "model-000002"])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damage_at_any_byte_is_named_and_the_pair_before_used(tmp_path: Path, victim: str, damage: str) -> None:
    for number in (1, 2):
        save(tmp_path, number)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    content = whole[victim]
    for place in range(len(content)):
        for path in tmp_path.iterdir():
            path.unlink()
        for name, each in whole.items():
            (tmp_path / name).write_bytes(each)
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        (tmp_path / victim).write_bytes(content[:place] if damage == "cut" else flipped)
        found = checkpoint.read(tmp_path)
        assert found is not None
        assert found.state["done"] == 1
        assert victim in found.passed_over[0]
        save(tmp_path, 2)  # the training goes on from there
        assert checkpoint.read(tmp_path).state["done"] == 2  # type: ignore[union-attr]


def test_when_no_pair_is_whole_all_are_named(tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path, number)
        (tmp_path / f"state-{number:06d}.json").write_text("{")
    with pytest.raises(checkpoint.Damaged, match=r"state-000002\.json is damaged .*state-000001\.json is damaged"):
        checkpoint.read(tmp_path)
    assert checkpoint.read(tmp_path) is None  # put aside
    save(tmp_path, 1)
    assert checkpoint.read(tmp_path) is not None


def test_a_state_without_its_model_still_tells_what_was_done(tmp_path: Path) -> None:
    save(tmp_path, 1)
    checkpoint.drop_models(tmp_path)
    assert checkpoint.read_state(tmp_path) == {"done": 1, "share": 1 / 7}
    with pytest.raises(checkpoint.Damaged, match="model-000001 is missing"):
        checkpoint.read(tmp_path)


def test_storage_that_has_gone_away_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        save(tmp_path / "gone" / "trial", 1)
    assert names(tmp_path) == []
