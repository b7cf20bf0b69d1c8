"""What a study has done so far, read from its files; works while a driver runs and after it died."""

from __future__ import annotations

from typing import Any

from reports.winners import confirmations, winners
from study.plan.plan import Plan
from study.store.folder import StudyFolder
from study.store.lock import is_running
from study.store.log import read_log


def status(plan: Plan, folder: StudyFolder) -> dict[str, Any]:
    """Progress as plain data.

    Returns
    -------
    ``study``, ``running``, ``done`` (nothing left to run), ``report`` (its path, or None), and per framework under
    ``frameworks``: trials done and wanted, reached, failed, confirmed runs, cost in slice-seconds, the incumbent.
    """
    rows = list(read_log(folder.log).trials.values())
    best, confirming = winners(rows), confirmations(rows)
    frameworks = {}
    for name in plan.frameworks:
        mine = [row for row in rows if row["framework"] == name]
        searched = [row for row in mine if row["phase"] == ("search" if plan.sweep is None else "sweep")]
        confirmed = [row for row in confirming if row["framework"] == name]
        frameworks[name] = {
            "trials": len(searched),
            "trials_wanted": plan.search.trials if plan.sweep is None else plan.sweep.trainings,
            "reached": sum(row["reached"] for row in searched),
            "failed": sum(row["outcome"] == "failed" for row in searched),
            "confirmed": len(confirmed),
            "confirmed_wanted": plan.confirm.runs,
            "cost_slice_s": sum(row["slice_s"] for row in mine),
            "best": best.get(name),
        }
    index = folder.report / "index.html"
    return {
        "study": folder.name,
        "workload": plan.workload,
        "running": is_running(folder),
        "done": all(
            each["trials"] >= each["trials_wanted"]
            and (each["best"] is None or each["confirmed"] >= each["confirmed_wanted"])
            for each in frameworks.values()
        ),
        "report": str(index) if index.exists() else None,
        "frameworks": frameworks,
    }
