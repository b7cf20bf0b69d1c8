"""A log that was tampered with shows, and one that was only torn, damaged or interrupted does not."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from study.store.chain import chain_differences
from study.store.folder import StudyFolder
from study.store.log import CHAIN, format_line, line_hash, parse_line, read_log
from study.store.parquet import build_parquet, parquet_differences
from study.store.records import Records
from trainables.contract import Record


def trial(trial_id: str) -> Record:
    return {"trial_id": trial_id, "outcome": "reached", "objective": 1.0, "reached": True}


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A study of four trials, written by two drivers."""
    folder = StudyFolder(tmp_path)
    for names in ("ab", "cd"):
        records = Records(folder, say=print)
        for name in names:
            records.add_start(name, {})
            records.add_evaluations({"trial_id": name, "evaluation": number} for number in (1, 2))
            records.add_trial(trial(name))
        records.close()
    return folder


def lines(folder: StudyFolder) -> list[bytes]:
    return folder.log.read_bytes().splitlines(keepends=True)


def made_anew(whole: list[bytes]) -> list[bytes]:
    """The lines as a chain of their own, as somebody makes it who knows how."""
    found: list[bytes] = []
    for line in whole:
        row = parse_line(line)
        assert row is not None
        row.pop(CHAIN)
        kind = row.pop("kind")
        found.append(format_line(kind, row, line_hash(found[-1]) if found else "0" * 32))
    return found


def test_a_log_that_nobody_touched_is_one_chain(folder: StudyFolder) -> None:
    assert chain_differences(folder) == []
    assert made_anew(lines(folder)) == lines(folder)


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_torn_last_line_is_none_of_it(folder: StudyFolder, cut: int) -> None:
    folder.log.write_bytes(folder.log.read_bytes()[:-cut])
    records = Records(folder, say=print)  # the next driver
    records.add_trial(trial("d"))
    records.close()
    assert chain_differences(folder) == []


def test_a_damaged_line_is_owned_up_to(folder: StudyFolder) -> None:
    whole = lines(folder)
    for place in (0, 5, len(whole) - 1):
        for aside in folder.path.glob("*.damaged-*"):
            aside.unlink()
        folder.log.write_bytes(b"".join([*whole[:place], b"x" + whole[place][1:], *whole[place + 1 :]]))
        assert f"records.jsonl, line {place + 1} is damaged" in chain_differences(folder)
        records = Records(folder, say=print)
        records.add_trial(trial("e"))
        records.close()
        assert chain_differences(folder) == []
    next(folder.path.glob("*.damaged-*")).unlink()
    assert "lost lines to damage" in chain_differences(folder)[0]


def test_a_write_that_a_full_disk_cut_is_done_again_in_the_chain(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short:
        """A file that takes a line and a half."""

        def __init__(self, file: IO[bytes]) -> None:
            self.file = file

        def write(self, content: bytes) -> int:
            return self.file.write(content[: content.index(b"\n") + 20])

        def close(self) -> None:
            self.file.close()

    monkeypatch.setattr("study.store.patience.time.sleep", lambda _: None)
    records = Records(folder, say=print)
    records.add_start("e", {})
    records._file = Short(records._file)  # type: ignore[assignment,arg-type]
    records.add_evaluations({"trial_id": "e", "evaluation": number} for number in (1, 2, 3))
    records.close()
    assert chain_differences(folder) == []
    assert sum(key[0] == "e" for key in read_log(folder.log).evaluations) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: [*whole[:3], *whole[4:]],
        lambda whole: whole[1:],
        lambda whole: [*whole[:5], whole[6], whole[5], *whole[7:]],
        lambda whole: [*whole[:5], format_line("loss", {"trial_id": "a", "lost_s": 1.0}), *whole[5:]],
        lambda whole: [*whole[:5], made_anew(whole[5:6])[0], *whole[6:]],
    ],
    ids=["taken out", "the first", "exchanged", "put in", "changed"],
)
def test_tampering_breaks_the_chain(folder: StudyFolder, change: object) -> None:
    folder.log.write_bytes(b"".join(change(lines(folder))))  # type: ignore[operator]
    build_parquet(read_log(folder.log), folder)  # whoever does it makes these anew
    found = chain_differences(folder)
    assert found
    assert all("does not follow the line before it" in each for each in found)


def test_a_chain_made_anew_is_not_the_one_that_the_other_files_know(folder: StudyFolder) -> None:
    whole = lines(folder)
    changed = made_anew([line for line in whole if b'"trial_id": "b"' not in line])
    folder.log.write_bytes(b"".join(changed))
    assert [each.split(" was")[0] for each in chain_differences(folder)] == ["trials.parquet", "evaluations.parquet"]
    build_parquet(read_log(folder.log), folder)
    assert chain_differences(folder) == []  # then only the report's page, and who wrote the hash down, know


def test_a_study_that_grew_is_no_contradiction_to_the_files_of_before(folder: StudyFolder) -> None:
    before = [path.read_bytes() for path in (folder.trials, folder.evaluations)]
    records = Records(folder, say=print)
    records.add_trial(trial("e"))
    records.close()
    for path, content in zip((folder.trials, folder.evaluations), before, strict=True):
        path.write_bytes(content)
    assert chain_differences(folder) == []
    assert parquet_differences(folder) == ["trials.parquet, e: only the log has this row"]


def test_a_log_of_an_older_version_goes_on_as_a_chain(folder: StudyFolder) -> None:
    def plain(line: bytes) -> bytes:
        row = parse_line(line)
        assert row is not None
        row.pop(CHAIN)
        return format_line(row.pop("kind"), row)

    older = [plain(line) for line in lines(folder)]
    folder.log.write_bytes(b"".join(older))
    for path in (folder.trials, folder.evaluations):
        path.unlink()
    assert chain_differences(folder) == []
    records = Records(folder, say=print)
    assert list(records.trials) == list("abcd")
    records.add_trial(trial("e"))
    records.close()
    assert chain_differences(folder) == []
    changed = [*older[:2], *lines(folder)[3:]]
    folder.log.write_bytes(b"".join(changed))
    assert chain_differences(folder) == []  # of what came before the chain, only the last line is sure
    folder.log.write_bytes(b"".join([*older[:-1], *lines(folder)[-1:]]))
    assert "does not follow" in chain_differences(folder)[0]


def test_a_log_that_is_gone_is_missed(folder: StudyFolder) -> None:
    folder.log.unlink()
    assert chain_differences(folder)[0] == "records.jsonl is missing, but trials.parquet was built from it"
