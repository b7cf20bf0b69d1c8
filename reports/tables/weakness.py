"""What weakens a result: few trials that reached the target, other machines, and trials that a busy one disturbed."""

from __future__ import annotations

import pandas as pd

from reports.goals import goal_of
from reports.names import title
from reports.tables.disturbance import disturbances, measured
from reports.tables.gpus import on_troubled_gpus
from reports.tables.machines import machine_cautions
from reports.tables.trials import frameworks, phase

FEW = 5  # trials that reached the target, or were capped as slower; also fewer than a third of those left to end
_CUT_SHORT = ("capped", "stopped")  # outcomes of trials of which nobody knows whether they would have reached it
_WORDS = {
    "out_of_time": "out of time",
    "out_of_epochs": "out of epochs",
    "stopped": "stopped by ASHA",
}


def weaknesses(trials: pd.DataFrame) -> list[str]:
    """All of them as text, for the terminal."""
    tables = (few_reached(trials), machine_cautions(trials), disturbed(trials))
    return [caution for table in tables for caution in table["caution"]]


def few_reached(trials: pd.DataFrame) -> pd.DataFrame:
    """Searches in which few trials reached the target.

    Returns
    -------
    Columns: framework, caution.
    """
    table = []
    for name in frameworks(trials):
        search = phase(trials[trials["framework"] == name], "search")
        hits, judged = int(search["reached"].astype(bool).sum()), int((~search["outcome"].isin(_CUT_SHORT)).sum())
        known = hits + int((search["outcome"] == "capped").sum())
        if hits == len(search) or (known >= FEW and hits and 3 * hits >= judged):
            continue
        missed = search.loc[~search["reached"].astype(bool), "outcome"].value_counts()
        why = ", ".join(f"{count} {_WORDS.get(str(outcome), outcome)}" for outcome, count in missed.items())
        target = goal_of(trials).spelled(search["target"].iloc[0])
        counted = f"{hits or 'none'} of {len(search)} search trials reached {target}"
        rests = "; its best configuration rests on few" if hits else ""
        table.append((name, f"{title(name)}: {counted} ({why}){rests}."))
    return pd.DataFrame(table, columns=["framework", "caution"])


def disturbed(trials: pd.DataFrame) -> pd.DataFrame:
    """Frameworks some of whose trials shared their CPUs or GPU with something else, or ran on a throttled GPU.

    Returns
    -------
    Columns: framework, trials (that ran disturbed), of (trials of which it is known), caution.
    """
    found = [table for table in (_on_busy_machines(trials), on_troubled_gpus(trials)) if len(table)]
    return pd.concat(found, ignore_index=True) if found else on_troubled_gpus(trials)


def _on_busy_machines(trials: pd.DataFrame) -> pd.DataFrame:
    """Frameworks some of whose trials shared their CPUs with something else; see `disturbance.disturbances`."""
    known, disturbed = measured(trials), disturbances(trials)
    table = []
    for name in frameworks(trials):
        bad = disturbed[disturbed["framework"] == name].sort_values("share", kind="stable")
        if len(bad):
            worst, of = bad.iloc[0], int((known["framework"] == name).sum())
            caution = (
                f"{title(name)}: {len(bad)} of {of} trials ran on a busy machine, and their times are too "
                f"long: {worst['trial_id']} got {worst['share']:.2f} CPUs while it trained (the median trial "
                f"{worst['median']:.2f}){_waited(worst)}{_load(worst)}."
            )
            table.append((name, len(bad), of, caution))
    return pd.DataFrame(table, columns=["framework", "trials", "of", "caution"])


def _waited(trial: pd.Series) -> str:
    return "" if pd.isna(trial["waited"]) else f" and waited for one for {100 * trial['waited']:.0f} % of the time"


def _load(trial: pd.Series) -> str:
    if pd.isna(trial["load_end"]) or pd.isna(trial["host_cpus"]):
        return ""
    return f", at a load average of {trial['load_end']:.1f} on {trial['host_cpus']:.0f} CPUs"
