"""Confirmation runs that a busy machine disturbed run again, and only those."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reports.page.report import write_report
from reports.tables import disturbance
from study.driver.repair import rerun_disturbed
from study.store.log import parse_line
from study.store.records import Records
from tests.study.driver.simulation import Cluster, Study, simulated

VICTIM = "confirm-simulated2-{:05d}-00001"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A finished study, one of whose runs got a tenth of a CPU: said of a framework that counts as a real one."""
    monkeypatch.setattr(disturbance, "FRAMEWORKS", {})
    study = simulated(tmp_path, Cluster({"a": 1.0, "b": 1.0}, monkeypatch), "confirm.runs=3", "search.trials=2")
    study.run()
    records = Records(study.folder, say=print)
    starved = {"train_wall_s": 10.0, "train_cpu_s": 1.0, "warm_tta_s": 99.0}
    records.add_trial({**records.trials[victim(study)], **starved})
    records.close()
    return study


def victim(study: Study) -> str:
    confirmed = study.confirmed
    return VICTIM.format(int(confirmed.loc[confirmed["framework"] == "simulated2", "confirms"].iloc[0]))


def test_only_the_disturbed_runs_run_again_where_the_other_of_the_pair_ran(study: Study) -> None:
    before = study.trials.set_index("trial_id")
    records = Records(study.folder, say=print)
    assert rerun_disturbed(study.folder, records) == [victim(study)]
    records.close()
    study.cluster.ran.clear()
    study.run("confirm")
    assert study.cluster.ran == [(victim(study), before["host"][victim(study)])]
    after = study.trials.set_index("trial_id")
    assert after["warm_tta_s"][victim(study)] < before["warm_tta_s"][victim(study)] == 99.0
    assert after["reruns"].to_dict() == dict.fromkeys(before.index, 0) | {victim(study): 1}
    assert after["lost_s"][victim(study)] == pytest.approx(before["slice_s"][victim(study)])  # and still charged
    others = before.index != victim(study)
    pd.testing.assert_frame_equal(after.loc[before.index[others]], before[others])
    lines = study.folder.log.read_bytes().splitlines(keepends=True)
    kept = [row for line in lines if (row := parse_line(line)) and row["kind"] == "trial"]
    assert [row["warm_tta_s"] == 99.0 for row in kept if row["trial_id"] == victim(study)] == [False, True, False]


def test_both_are_told_on_the_first_screen(study: Study) -> None:
    write_report(study.folder.path, study.folder.report)
    page = (study.folder.report / "report.md").read_text()
    told = page.replace("\\", "").split("##")[0]
    assert "Caution: a busy machine disturbed 1 of 3 Simulated 2 runs of the race and the confirmation" in told
    assert "tuneoff confirm --disturbed DIR" in told
    records = Records(study.folder, say=print)
    rerun_disturbed(study.folder, records)
    records.close()
    study.run("confirm")
    write_report(study.folder.path, study.folder.report)
    told = (study.folder.report / "report.md").read_text().split("##")[0]
    assert "Caution" not in told
    assert "1 of 3 Simulated 2 runs of the race and the confirmation were run again, for a busy machine had" in told


def test_an_interruption_forgets_neither_that_it_runs_again_nor_why(study: Study) -> None:
    records = Records(study.folder, say=print)
    rerun_disturbed(study.folder, records)
    records.close()
    again = Records(study.folder, say=print)
    assert victim(study) not in again.trials
    assert rerun_disturbed(study.folder, again) == []
    again.close()
    study.run("confirm")
    assert study.trials.set_index("trial_id")["reruns"][victim(study)] == 1
