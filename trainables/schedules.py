"""The learning rate of every optimizer step: computed once, here, and handed to every framework.

With ``s`` steps of ``steps`` done and ``w = round(warm_up * steps)`` steps of warm-up:

- warm-up, of every schedule: ``rate * (s + 1) / w`` while ``s < w``;
- constant: ``rate``;
- cosine: ``rate * (1 + cos(pi * t)) / 2`` with ``t = (s - w) / (steps - w)``, down to 0 at the end (Loshchilov and
  Hutter 2017, "SGDR", without restarts);
- one_cycle: from ``rate / 25`` up to ``rate`` along a half cosine, then down to ``rate / 250,000`` along another: what
  ``torch.optim.lr_scheduler.OneCycleLR`` does with its defaults (Smith and Topin 2018), the momentum left alone. Its
  rise takes ``warm_up`` of all steps, 30 % where that is 0.

``steps`` are those of all epochs that a training may take, whether it needs them or not.
"""

from __future__ import annotations

from math import ceil, pi

import numpy as np
import numpy.typing as npt

from trainables.contract import Hyperparameters

RISE = 0.3  # of one_cycle's steps, where no warm-up is asked for
DIVIDED_AT_FIRST, DIVIDED_AT_LAST = 25.0, 250_000.0  # OneCycleLR's div_factor, and that times its final_div_factor


def rates(knobs: Hyperparameters, *, first: int, count: int, samples: int, epochs: int) -> npt.NDArray[np.float64]:
    """Learning rates of some steps.

    Parameters
    ----------
    first
        Steps done before.
    count
        How many are wanted.
    samples, epochs
        Training samples; epochs that the training may take.

    Returns
    -------
    Float64, shape (count,).
    """
    if knobs.schedule == "constant" and knobs.warm_up == 0:
        return np.full(count, knobs.learning_rate)
    steps = epochs * ceil(samples / knobs.batch_size)
    done = np.arange(first, first + count, dtype=np.float64)
    if knobs.schedule == "one_cycle":
        return knobs.learning_rate * _one_cycle(done, steps, knobs.warm_up or RISE)
    rising = round(knobs.warm_up * steps)
    shape = np.ones(count) if knobs.schedule == "constant" else _cosine((done - rising) / max(1, steps - rising))
    return knobs.learning_rate * np.where(done < rising, (done + 1) / max(1, rising), shape)


def _cosine(share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """From 1 down to 0 along half a cosine."""
    return (1 + np.cos(pi * np.clip(share, 0.0, 1.0))) / 2


def _one_cycle(done: npt.NDArray[np.float64], steps: int, rise: float) -> npt.NDArray[np.float64]:
    top = rise * steps - 1
    low, lowest = 1 / DIVIDED_AT_FIRST, 1 / DIVIDED_AT_LAST
    rising = 1 + (low - 1) * _cosine(done / top) if top > 0 else np.ones_like(done)
    falling = lowest + (1 - lowest) * _cosine((done - top) / max(1.0, steps - 1 - top))
    return np.where(done <= top, rising, falling)
