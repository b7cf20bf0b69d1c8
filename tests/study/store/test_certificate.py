"""A certificate is attached to a study of the very workload, software and frameworks that it is about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from study.plan.files import load_plan
from study.store import certificate
from study.store.certificate import attach_certificate, certificate_path, write_certificate
from study.store.folder import StudyFolder, create
from tests.study.workloads import written
from trainables.verify.compare import Comparison, sources_digest
from trainables.workloads.workload import find

BOTH = ("pytorch", "flux")
VERSIONS = {"torch": "2.0", "flux": "0.16"}


@pytest.fixture
def task(tmp_path: Path) -> Path:
    made = written(tmp_path / "my-task")
    (made / "model.jl").write_text("build(; options...) = nothing\n")
    return made


def study(task: Path, path: Path) -> StudyFolder:
    plan = load_plan(str(task), frameworks=list(BOTH)).model_copy(update={"workload": "my-task"})
    folder = create(path, plan, find(str(task)))
    ran = {"versions": VERSIONS, "sources": sources_digest()}
    folder.provenance.write_text(json.dumps({"verified_by": ran}))
    return folder


@pytest.mark.parametrize("change", ["nothing", "the workload after it", "the workload before it", "its sources"])
def test_what_a_certificate_is_about(task: Path, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "framework_versions", lambda _: VERSIONS)
    plan = load_plan(str(task), frameworks=list(BOTH)).model_copy(update={"workload": "my-task"})
    same = Comparison(BOTH, "my-task", "sgd", "float64", 2, (), None)
    write_certificate(find(str(task)), BOTH, [same], certificate_path(find(str(task)), BOTH))
    if change == "the workload after it":
        (task / "model.jl").write_text("build(; options...) = missing\n")
    folder = study(task, tmp_path / "study")
    if change == "the workload before it":  # its copy is what counts
        (task / "model.jl").write_text("build(; options...) = missing\n")
    if change == "its sources":
        known = json.loads(folder.provenance.read_text())
        known["verified_by"]["sources"] = "others"
        folder.provenance.write_text(json.dumps(known))
    attach_certificate(plan, folder)
    assert folder.certificate.exists() == (change in ("nothing", "the workload before it"))


def test_a_later_certificate_of_others_takes_none_away(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of other frameworks; of another's my-task; one that was torn."""
    monkeypatch.setattr(certificate, "framework_versions", lambda _: VERSIONS)
    compiled, other = ("pytorch", "pytorch-compile"), written(tmp_path / "elsewhere" / "my-task")
    for folder, frameworks in ((task, BOTH), (task, compiled), (other, BOTH)):
        workload = find(str(folder))
        same = Comparison(frameworks, "my-task", "sgd", "float64", 2, (), None)
        write_certificate(workload, frameworks, [same], certificate_path(workload, frameworks))
    torn = certificate_path(find(str(task)), ("flux", "pytorch"))
    torn.write_text('{"workload": "my-task", ')
    plan = load_plan(str(task), frameworks=list(BOTH)).model_copy(update={"workload": "my-task"})
    made = study(task, tmp_path / "study")
    attach_certificate(plan, made)
    attached = json.loads(made.certificate.read_text())
    assert (attached["frameworks"], attached["workload_digest"]) == (list(BOTH), find(str(task)).digest())
