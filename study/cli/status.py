"""What a study has done so far, read from its files; works while a driver runs and after it died."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reports.winners import apart, confirmations, finalists, race_runs, standing, winners
from study.driver.allowance import Allowance, allowance_of
from study.driver.failures import failures, fruitless
from study.driver.progress import describe
from study.plan.plan import Plan
from study.store.folder import StudyFolder
from study.store.lock import is_running
from study.store.log import Log, read_log
from trainables.common.errors import UserError


def status(plan: Plan, folder: StudyFolder) -> dict[str, Any]:
    """Progress as plain data.

    Returns
    -------
    ``study``, ``running``, ``done`` (nothing left to run), ``report`` (its path, or None); ``failures`` (None, or how
    many of how many trials failed, the most frequent error, how often it came, and that in words) and
    ``without_result``, the frameworks that failures left without one; and per framework under ``frameworks``: trials
    done and wanted, why the search stopped before its last one, or None, reached, capped, failed, runs of the race and
    confirmation runs, cost in slice-seconds, the incumbent, and what is searched besides learning rate, batch size and
    loader workers.
    """
    log = read_log(folder.log)
    allowance = _allowance(plan, folder, log)
    rows = list(log.trials.values())
    best, confirming = winners(rows), confirmations(rows)
    entered, raced = finalists(rows, plan.race.configurations), race_runs(rows)
    most = 0 if plan.sweep is not None else min(plan.race.configurations, plan.search.trials)
    frameworks = {}
    for name in plan.frameworks:
        mine = [row for row in rows if row["framework"] == name]
        swept = standing(row for row in mine if row["phase"] == "sweep")
        searched = [row for row in mine if row["phase"] == "search"] if plan.sweep is None else swept
        why = allowance.over(name) if allowance is not None else None
        searched_all = why is not None or len(searched) >= plan.search.trials
        confirmed = [row for row in confirming if row["framework"] == name]
        frameworks[name] = {
            "trials": len(searched),
            "trials_wanted": plan.search.trials if plan.sweep is None else plan.sweep.trainings,
            "stopped": allowance.said(name, why) if allowance is not None and why is not None else None,
            "reached": sum(row["reached"] for row in searched),
            "capped": sum(row["outcome"] == "capped" for row in searched),
            "failed": sum(row["outcome"] == "failed" for row in searched),
            "raced": sum(len(raced.get(name, {}).get(row["number"], ())) for row in entered.get(name, ())),
            "raced_wanted": (len(entered.get(name, ())) if searched_all else most) * plan.race.runs,
            "confirmed": len(confirmed),
            "confirmed_wanted": plan.confirm.runs if plan.sweep is None else 0,
            "cost_slice_s": sum(row["slice_s"] for row in log.rows() if row["framework"] == name),
            "best": best.get(name),
            "also_searched": list(plan.also_searched(name)),
        }
    index, failed = folder.report / "index.html", failures(rows)
    return {
        "study": folder.name,
        "workload": plan.workload,
        "running": is_running(folder),
        "done": not log.damaged  # which another run of the driver mends
        and not apart(confirming)
        and all(
            (each["stopped"] or each["trials"] >= each["trials_wanted"])
            and each["raced"] >= each["raced_wanted"]
            and (each["best"] is None or each["confirmed"] >= each["confirmed_wanted"])
            for each in frameworks.values()
        ),
        "report": str(index) if index.exists() else None,
        "failures": {**asdict(failed), "said": str(failed)} if failed is not None else None,
        "without_result": fruitless(rows, plan.frameworks),
        "frameworks": frameworks,
    }


def _allowance(plan: Plan, folder: StudyFolder, log: Log) -> Allowance | None:
    """What the searches may still spend; of a sweep nothing. A price that is gone ends no search."""
    if plan.sweep is not None:
        return None
    try:
        return allowance_of(plan, folder, log)
    except UserError:
        return Allowance(plan, log)


def progress_of(framework: dict[str, Any], *, sweep: bool = False) -> str:
    """What `status` says of a framework, in a line; of a sweep, which has neither a target nor a best, what ran."""
    failed = f", {framework['failed']} failed" if framework["failed"] else ""
    cost = f"{framework['cost_slice_s']:.0f} slice-s"
    if sweep:
        return f"{framework['trials']} of {framework['trials_wanted']} trainings{failed}; {cost}"
    stopped = f", stopped{framework['stopped'].partition(' trials')[2]}" if framework["stopped"] else ""
    done = f"{framework['trials']} of {framework['trials_wanted']} trials, {framework['reached']} reached"
    done += f", {framework['capped']} capped" if framework["capped"] else ""
    later = "".join(
        f"; {framework[what]} of {framework[f'{what}_wanted']} {what}"
        for what in ("raced", "confirmed")
        if framework[f"{what}_wanted"]
    )
    best = f"best {describe(framework['best'], framework['also_searched'])}" if framework["best"] else "no best yet"
    return f"{done}{failed}{stopped}{later}; {cost}; {best}"
