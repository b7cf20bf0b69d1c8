from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from reports.schema import EVALUATIONS, TRIALS, arrow_schema
from study.folder import StudyFolder
from study.records import Records
from trainables.contract import Record
from trainables.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path)


def evaluation(trial_id: str, number: int, **changes: object) -> Record:
    return {"trial_id": trial_id, "evaluation": number, "validation_accuracy": 0.5, "samples": number * 10, **changes}


def trial(trial_id: str, **changes: object) -> Record:
    return {"trial_id": trial_id, "outcome": "reached", "objective": 1.0, "reached": True, **changes}


def test_parquet_has_the_documented_schema(folder: StudyFolder) -> None:
    records = Records(folder)
    records.add_evaluations([evaluation("a", 1)])
    records.add_trial(trial("a"))
    records.close()
    assert pq.read_schema(folder.evaluations).equals(arrow_schema(EVALUATIONS))
    assert pq.read_schema(folder.trials).equals(arrow_schema(TRIALS))
    assert pd.read_parquet(folder.trials)["trial_id"].tolist() == ["a"]


def test_an_empty_study_has_empty_tables(folder: StudyFolder) -> None:
    Records(folder).close()
    assert len(pd.read_parquet(folder.trials)) == 0


def test_work_done_again_replaces_what_it_repeats(folder: StudyFolder) -> None:
    records = Records(folder)
    records.add_evaluations([evaluation("a", 1), evaluation("a", 2), evaluation("b", 1)])
    records.add_evaluations([evaluation("a", 2, validation_accuracy=0.7)])
    records.close()
    table = pd.read_parquet(folder.evaluations)
    assert len(table) == 3
    assert table.query("trial_id == 'a' and evaluation == 2")["validation_accuracy"].tolist() == [0.7]


def test_a_log_cut_at_any_byte_loses_at_most_its_last_row(folder: StudyFolder) -> None:
    records = Records(folder)
    for name in "abc":
        records.add_trial(trial(name))
    records.close()
    whole = folder.log.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        folder.log.write_bytes(whole[:cut])
        records = Records(folder)
        kept = sum(end <= cut for end in ends)
        assert list(records.trials) == list("abc")[:kept]
        records.add_trial(trial("d"))  # appending after the tear gives whole lines; not closed: as good as killed
        assert [json.loads(line)["trial_id"] for line in folder.log.read_text().splitlines()] == [*"abc"[:kept], "d"]


def test_a_damaged_line_is_named(folder: StudyFolder) -> None:
    records = Records(folder)
    for name in "abc":
        records.add_trial(trial(name))
    records.close()
    lines = folder.log.read_bytes().splitlines(keepends=True)
    folder.log.write_bytes(lines[0] + b"\x00" * len(lines[1]) + b"\n" + lines[2])
    with pytest.raises(UserError, match=r"records\.jsonl is damaged in line 2"):
        Records(folder)


def test_what_one_driver_wrote_the_next_one_reads(folder: StudyFolder) -> None:
    first = Records(folder)
    first.add_trial(trial("a"))  # not closed: killed
    second = Records(folder)
    assert second.trials["a"]["objective"] == 1.0
    second.add_trial(trial("b"))
    second.close()
    assert pd.read_parquet(folder.trials)["trial_id"].tolist() == ["a", "b"]


def test_parquet_files_are_replaced_whole(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(folder)
    records.add_trial(trial("a"))
    records.build()
    before = folder.trials.read_bytes()

    def tear(table: object, path: Path) -> None:
        path.write_bytes(b"PAR1")
        raise OSError("disk full")

    monkeypatch.setattr("study.records.pq.write_table", tear)
    records.add_trial(trial("b"))
    with pytest.raises(OSError, match="disk full"):
        records.build()
    assert folder.trials.read_bytes() == before
