"""The time for which a study ran: without the pauses between its drivers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from reports.tables.statistics import Values


def began(trials: pd.DataFrame) -> pd.Series[float]:
    """When trials began, seconds since 1970; where that was not recorded, `slice_s` before their end."""
    return trials["began_at"].astype(float).fillna(trials["ended_at"] - trials["slice_s"])


def running_clock(trials: pd.DataFrame) -> Callable[[Values], Values]:
    """A clock that stands still while no trial runs.

    A trial that was interrupted is taken to have run for the `slice_s` before its end: the records do not say when its
    earlier parts ended.

    Returns
    -------
    From seconds since 1970 to seconds for which the study had run by then.
    """
    ended = trials["ended_at"].to_numpy(dtype=np.float64)
    starts = began(trials).to_numpy(dtype=np.float64)
    interrupted = trials["segments"].to_numpy(dtype=np.float64) > 1
    held = trials["slice_s"].to_numpy(dtype=np.float64)
    starts = np.where(interrupted, np.fmax(starts, ended - held), starts)
    known = np.isfinite(ended) & np.isfinite(starts)
    if not known.any():
        return np.zeros_like
    order = np.argsort(starts[known])
    starts, ends = starts[known][order], np.maximum.accumulate(ended[known][order])
    opens = np.concatenate([[True], starts[1:] > ends[:-1]])
    first, last = starts[opens], ends[np.concatenate([opens[1:], [True]])]
    passed = np.concatenate([[0.0], np.cumsum(last - first)])
    moments = np.column_stack([first, last]).ravel()
    readings = np.column_stack([passed[:-1], passed[1:]]).ravel()

    def reading(at: Values) -> Values:
        return np.asarray(np.interp(at, moments, readings))

    return reading
