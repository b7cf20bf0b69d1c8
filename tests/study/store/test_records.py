from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.schema import EVALUATIONS, TRIALS, arrow_schema
from study.store.folder import StudyFolder
from study.store.log import read_log
from study.store.parquet import parquet_differences, refresh_parquet
from study.store.patience import Patience, StorageGone
from study.store.records import Records
from trainables.contract import Record


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path)


def evaluation(trial_id: str, number: int, **changes: object) -> Record:
    return {"trial_id": trial_id, "evaluation": number, "validation_accuracy": 0.5, "samples": number * 10, **changes}


def trial(trial_id: str, **changes: object) -> Record:
    return {"trial_id": trial_id, "outcome": "reached", "objective": 1.0, "reached": True, **changes}


def test_parquet_has_the_documented_schema(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    records.add_evaluations([evaluation("a", 1)])
    records.add_trial(trial("a"))
    records.close()
    assert pq.read_schema(folder.evaluations).equals(arrow_schema(EVALUATIONS))
    assert pq.read_schema(folder.trials).equals(arrow_schema(TRIALS))
    assert pd.read_parquet(folder.trials)["trial_id"].tolist() == ["a"]


def test_an_empty_study_has_empty_tables(folder: StudyFolder) -> None:
    Records(folder, say=print).close()
    assert len(pd.read_parquet(folder.trials)) == 0


def test_work_done_again_replaces_what_it_repeats(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    records.add_evaluations([evaluation("a", 1), evaluation("a", 2), evaluation("b", 1)])
    records.add_evaluations([evaluation("a", 2, validation_accuracy=0.7)])
    records.close()
    table = pd.read_parquet(folder.evaluations)
    assert len(table) == 3
    assert table.query("trial_id == 'a' and evaluation == 2")["validation_accuracy"].tolist() == [0.7]


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
def test_a_log_cut_at_any_byte_loses_at_most_its_last_row(folder: StudyFolder, step: int) -> None:
    records = Records(folder, say=print)
    for name in "abc":
        records.add_trial(trial(name))
    records.close()
    whole = folder.log.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    near = {0, 1, *(end + by for end in ends[:-1] for by in (-2, -1, 0, 1))}
    for cut in sorted(near | set(range(ends[-2], len(whole) + 1, step))):  # rows are alike: the bytes of one
        folder.log.write_bytes(whole[:cut])
        records = Records(folder, say=print)
        kept = sum(end <= cut for end in ends)
        assert list(records.trials) == list("abc")[:kept]
        records.add_trial(trial("d"))  # appending after the tear gives whole lines; not closed: as good as killed
        assert [json.loads(line)["trial_id"] for line in folder.log.read_text().splitlines()] == [*"abc"[:kept], "d"]


def test_a_damaged_line_is_named_and_the_others_kept(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    for name in "abc":
        records.add_trial(trial(name))
    records.close()
    lines = folder.log.read_bytes().splitlines(keepends=True)
    damaged = lines[0] + b"\x00" * len(lines[1]) + b"\n" + lines[2]
    folder.log.write_bytes(damaged)
    said: list[str] = []
    assert list(Records(folder, say=said.append).trials) == ["a", "c"]
    assert "records.jsonl was damaged in line 2" in said[0]
    aside = next(folder.path.glob("records.jsonl.damaged-*"))
    assert aside.name in said[0]
    assert aside.read_bytes() == damaged
    assert folder.log.read_bytes().startswith(lines[0] + lines[2])
    assert folder.log.read_bytes().count(b"\n") == 3  # and the line that owns up to it
    said.clear()
    Records(folder, say=said.append)
    assert said == []


def test_no_flipped_byte_passes_unseen(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    for name in "ab":
        records.add_trial(trial(name))
    records.close()
    whole = folder.log.read_bytes()
    both = read_log(folder.log).trials
    for place in range(len(whole)):
        folder.log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        log = read_log(folder.log)
        kept = log.trials
        assert len(kept) < 2
        assert all(kept[name] == both[name] for name in kept)
        assert log.damaged or not folder.log.read_bytes().endswith(b"\n")


def test_a_full_disk_is_waited_for_and_told(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes no byte: every write to it fails as on a full disk."""
    said: list[str] = []
    records = Records(folder, say=said.append)
    folder.log.symlink_to("/dev/full")

    def make_room(seconds: float) -> None:
        folder.log.unlink(missing_ok=True)
        records._file = None

    monkeypatch.setattr("study.store.patience.time.sleep", make_room)
    records.add_trial(trial("a"))
    assert "No space left on device" in said[0]
    assert "can be used again" in said[1]
    assert list(read_log(folder.log).trials) == ["a"]


def test_a_disk_that_stays_full_ends_the_study_with_a_reason(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    folder.log.symlink_to("/dev/full")
    records._patience = Patience(print, limit_s=0.05, retry_s=0.01)
    with pytest.raises(StorageGone, match=r"records\.jsonl could not be used .*No space left"):
        records.add_trial(trial("a"))
    assert records.trials == {}  # what is not on disk is not claimed


def test_losses_add_up_and_an_end_closes_a_start(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    records.add_start("a", {})
    records.add_start("b", {})
    assert set(records.unfinished) == {"a", "b"}
    records.add_loss("a", 1.5)
    records.add_start("a", {})
    records.add_loss("a", 2.0)
    records.add_trial(trial("b"))
    again = Records(folder, say=print)
    assert again.unfinished == {}
    assert again.lost_s("a") == 3.5
    assert again.lost_s("b") == 0.0


def test_damaged_parquet_is_built_anew(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    records.add_trial(trial("a"))
    records.close()
    whole = folder.trials.read_bytes()
    for cut in (0, len(whole) // 2, len(whole) - 1):
        folder.trials.write_bytes(whole[:cut])
        said: list[str] = []
        refresh_parquet(folder, say=said.append)
        assert "trials.parquet was damaged" in said[0]
        assert pd.read_parquet(folder.trials)["trial_id"].tolist() == ["a"]
    said = []
    refresh_parquet(folder, say=said.append)
    assert said == []


def test_what_one_driver_wrote_the_next_one_reads(folder: StudyFolder) -> None:
    first = Records(folder, say=print)
    first.add_trial(trial("a"))  # not closed: killed
    second = Records(folder, say=print)
    assert second.trials["a"]["objective"] == 1.0
    second.add_trial(trial("b"))
    second.close()
    assert pd.read_parquet(folder.trials)["trial_id"].tolist() == ["a", "b"]


def test_parquet_files_are_replaced_whole(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(folder, say=print)
    records.add_trial(trial("a"))
    records.build()
    before = folder.trials.read_bytes()

    def tear(table: object, file: IO[bytes], **options: object) -> None:
        file.write(b"PAR1")
        raise OSError("disk full")

    monkeypatch.setattr("study.store.parquet.pq.write_table", tear)
    records._patience = Patience(print, limit_s=0.0, retry_s=0.01)
    records.add_trial(trial("b"))
    with pytest.raises(StorageGone, match="disk full"):
        records.build()
    assert folder.trials.read_bytes() == before


def test_parquet_files_that_say_something_else_than_the_log(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    records.add_trial({"trial_id": "t", "warm_tta_s": 1.0, "objective": float("nan")})
    records.add_evaluations([{"trial_id": "t", "evaluation": 1, "train_s": 0.5}])
    records.close()
    assert parquet_differences(folder) == []
    changed = pq.read_table(folder.trials)
    place = changed.schema.get_field_index("warm_tta_s")
    pq.write_table(changed.set_column(place, "warm_tta_s", pa.array([0.1])), folder.trials)
    folder.evaluations.unlink()
    assert parquet_differences(folder) == [
        "trials.parquet, t, warm_tta_s: the Parquet file says 0.1, the log 1.0",
        "evaluations.parquet, t 1: only the log has this row",
    ]


def test_whole_numbers_of_an_older_version_are_what_the_log_says(folder: StudyFolder) -> None:
    records = Records(folder, say=print)
    records.add_trial({"trial_id": "t", "gpus": 1, "objective": float("nan")})
    records.close()
    changed = pq.read_table(folder.trials)
    place = changed.schema.get_field_index("gpus")
    for number, differences in ((1, 0), (2, 1)):
        older = changed.set_column(place, "gpus", pa.array([number], pa.int64()))
        pq.write_table(older, folder.trials)
        assert len(parquet_differences(folder)) == differences
