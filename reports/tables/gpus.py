"""What NVML and the plan tell of the GPUs that trials ran on: shared, or held below their clock."""

from __future__ import annotations

import pandas as pd

from reports.names import title
from reports.tables.trials import frameworks


def on_troubled_gpus(trials: pd.DataFrame) -> pd.DataFrame:
    """Frameworks some of whose trials had a share of a GPU, or one that others used or that was throttled.

    Returns
    -------
    Columns: framework, trials (of which it is true), of (trials on a GPU), caution.
    """
    table = []
    for name in frameworks(trials):
        mine = trials[(trials["framework"] == name) & (trials["device"] == "cuda")]
        parts = (mine["gpus"] > 0) & (mine["gpus"] < 1)
        for bad, say in (
            (mine[parts], _has_a_share),
            (mine[mine["gpu_shared"].astype(bool) & ~parts], _was_shared),
            (mine[mine["gpu_throttled"].notna()], _was_throttled),
        ):
            if len(bad):
                told = f"{title(name)}: {len(bad)} of {len(mine)} trials {say(bad)}"
                table.append((name, len(bad), len(mine), told))
    return pd.DataFrame(table, columns=["framework", "trials", "of", "caution"])


def _has_a_share(bad: pd.DataFrame) -> str:
    share = bad["gpus"].iloc[0]
    return f"had a share of a GPU (slice.gpus = {share:g}): their times depend on what their neighbours on it did."


def _was_shared(bad: pd.DataFrame) -> str:
    return f"shared their GPU with another process ({_first(bad)}), and their times may be too long."


def _was_throttled(bad: pd.DataFrame) -> str:
    reasons = dict.fromkeys(reason for text in bad["gpu_throttled"] for reason in str(text).split(", "))
    lowest = bad["gpu_clock_mhz"].min()
    clock = "" if pd.isna(lowest) else f", down to {lowest:.0f} MHz"
    return f"ran on a GPU that held its clock down ({', '.join(reasons)}{clock}; {_first(bad)})."


def _first(bad: pd.DataFrame) -> str:
    """One of them, and where it ran."""
    trial = bad.iloc[0]
    places = [str(trial[key]) for key in ("gpu", "host") if pd.notna(trial[key])]
    return f"as {trial['trial_id']}{' on ' * bool(places)}{' of '.join(places)}"
