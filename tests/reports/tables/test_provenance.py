from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports.page.report import build_page, write_report
from reports.records import StudyRecords
from reports.sentences import plain
from reports.tables.across import differences
from reports.tables.provenance import changes, facts, plan_change_sentences, plan_changes
from tests.reports.conftest import make, save

LAUNCHED = {"processor": "This CPU", "cpus": 2, "versions": {"torch": "2.1", "flux": "0.16"}}
ELSEWHERE = {"at": "2030-01-01", "processor": "Other CPU", "cpus": 2, "versions": {"torch": "1.0", "flux": "0.16"}}


def resumed(*resumes: dict[str, Any]) -> StudyRecords:
    return replace(make(0.5), provenance={**LAUNCHED, "host": "a", "resumed": list(resumes)})


def test_a_resume_on_another_machine_is_told(tmp_path: Path) -> None:
    records = resumed({**LAUNCHED, "host": "b"}, ELSEWHERE, ELSEWHERE)
    assert changes(records.provenance).to_numpy().tolist() == [
        ["2030-01-01", "processor", "This CPU", "Other CPU"],
        ["2030-01-01", "versions.torch", "2.1", "1.0"],
    ]
    save(records, tmp_path)
    write_report(tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "its times are from both: processor This CPU, then Other CPU; versions.torch 2.1, then 1.0." in text


def test_a_resume_on_the_same_machine_is_not(tmp_path: Path) -> None:
    save(resumed(LAUNCHED), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    assert "times are from both" not in (tmp_path / "report" / "report.md").read_text()
    assert ("resumed", "once") in facts(resumed(LAUNCHED).provenance)


def test_a_comparison_names_it() -> None:
    table = differences({"a": resumed(), "b": resumed(ELSEWHERE)}).set_index("what")
    assert table.loc["processor"].tolist() == ["This CPU", "This CPU, then Other CPU"]


def test_the_certificate_is_about_the_software_at_the_launch(tmp_path: Path) -> None:
    certificate = {
        "equal": True, "at": "2030-01-01T00:00", "frameworks": ["pytorch", "flux"],
        "comparisons": [{"steps": 50, "worst": [], "optimizer": "sgd", "precision": "float64", "failure": None}],
    }  # fmt: skip
    page = tmp_path / "report" / "report.md"
    for resume, verified in ((LAUNCHED, "\nVerified on"), (ELSEWHERE, "Not verified for what ran after the resume")):
        save(resumed(resume), tmp_path)
        (tmp_path / "certificate.json").write_text(json.dumps(certificate))
        write_report(tmp_path, tmp_path / "report")
        assert verified in page.read_text()


def test_a_plan_that_was_changed_with_results_in_sight_is_told() -> None:
    """Looks at 10, 15, 20, 30 and 40 runs raised false claims from 5 to 12 %."""
    plan = {"search": {"trials": 4}, "confirm": {"runs": 5}}
    more = {"at": "2030-01-01T00:00:00+00:00", "plan": {"search": {"trials": 4}, "confirm": {"runs": 10}}}
    early = {"at": "1970-01-01T00:00:01+00:00", "plan": {"search": {"trials": 6}, "confirm": {"runs": 5}}}
    records = replace(make(0.5), provenance={"plan": plan, "resumed": [{**LAUNCHED, "at": more["at"]}, more, more]})
    table = plan_changes(records.provenance, records.trials)
    assert table.to_numpy().tolist() == [[more["at"], "confirm.runs", "5", "10", 8, 20]]
    said = " ".join(map(plain, build_page(records).verdict))
    assert "changed after 20 confirmation runs had ended: confirm.runs from 5 to 10; who looks and adds runs" in said
    one = plan_changes({"plan": plan, "resumed": [more]}, records.trials).assign(trials=1, runs=0)
    assert "The plan was changed after 1 trial had ended: " in plain(plan_change_sentences(one)[0])

    records = replace(make(0.5), provenance={"plan": plan, "resumed": [early]})
    assert len(plan_changes(records.provenance, records.trials)) == 1
    assert "The plan was changed" not in " ".join(map(plain, build_page(records).verdict))


def test_memory_is_in_gib() -> None:
    assert ("memory", "23.5 GiB") in facts({"memory_bytes": 25276510208})


def test_only_records_that_exist_are_linked(tmp_path: Path) -> None:
    save(make(0.5), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert 'href="../trials.parquet"' in page
    assert 'href="../optuna.journal"' not in page


def test_a_part_of_a_machine_and_a_busy_one_are_facts() -> None:
    told = dict(
        facts(
            {
                "processor": "This CPU", "cpus": 1, "cpus_present": 2, "cpus_limited_by": "affinity",
                "memory_bytes": 2**30, "memory_limited_by": "cgroup limit", "load_average": 4.04, "cpu_share": 0.412,
            }
        )
    )  # fmt: skip
    assert told["cpus"] == "1 of 2 (affinity)"
    assert told["memory"] == "1.0 GiB (cgroup limit)"
    assert told["when it began"] == "load average 4.0, a thread of its own got 41% of a CPU"
    assert list(told)[:4] == ["processor", "cpus", "memory", "when it began"]
    whole = dict(facts({"cpus": 2, "cpus_present": 2, "cpus_limited_by": "", "memory_bytes": 2**30}))
    assert (whole["cpus"], whole["memory"]) == ("2", "1.0 GiB")
    assert "when it began" not in whole


def test_nodes_are_shown_and_told_where_they_differ(tmp_path: Path) -> None:
    node = {"lacks": [], "gpus": ["H100"], "cpus": 4, "memory_bytes": 2**33, "python": "3.11.7", "niceness": 15}
    known = {
        "nodes": [
            {**node, "address": "10.0.0.1", "processor": "This CPU", "versions": {"torch": "2.1"}},
            {"address": "10.0.0.2", "lacks": ["PyTorch is not installed", "no folder"]},
        ],
        "nodes_differ": ["processor: This CPU on 10.0.0.1; Other CPU on 10.0.0.3"],
        "nodes_left_out": {"10.0.0.4": "excluded by --exclude-node"},
    }
    records = replace(make(0.5), provenance={**LAUNCHED, **known})
    told = dict(facts(records.provenance))
    assert told["node 10.0.0.1"] == "This CPU, H100, 4 CPUs, 8.0 GiB, python 3.11.7, torch 2.1, niceness 15"
    assert told["node 10.0.0.2"] == "could not take part: PyTorch is not installed; no folder"
    assert told["node 10.0.0.4 left out"] == "excluded by --exclude-node"
    save(records, tmp_path)
    write_report(tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "It ran on nodes that differ, and times compare nodes as well as frameworks: processor: This CPU" in text
