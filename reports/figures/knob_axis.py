"""The axis of a hyperparameter: logarithmic, of numbers, or of names side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from reports.figures.drawing import label_ticks, nice_ticks
from reports.knobs import is_logarithmic, is_text, is_whole, told
from reports.tables.statistics import Values

_MOST_VALUES_LABELLED = 12


class KnobAxis:
    """Where the values of a hyperparameter stand.

    Parameters
    ----------
    values
        All that are shown.
    """

    def __init__(self, knob: str, values: pd.Series[Any]) -> None:
        known = values.dropna()
        self._knob = knob
        self.text = is_text(known)
        self.log = is_logarithmic(knob, known)
        self.whole = self.text or (is_whole(knob, known) and not self.log)
        self._names = sorted(set(known), key=str) if self.text else []
        self._shown = sorted(set(range(len(self._names)) if self.text else known.astype(float)))

    def places(self, values: pd.Series[Any]) -> Values:
        """Coordinates of values, shape (values,); NaN for one that is not known."""
        if not self.text:
            return values.to_numpy(dtype=np.float64)
        order = {name: float(place) for place, name in enumerate(self._names)}
        return np.asarray([order.get(value, np.nan) for value in values], dtype=np.float64)

    def heights(self, values: pd.Series[Any]) -> Values:
        """The same scaled to [0, 1], from the lowest to the highest; one half where there is one only."""
        places = self.places(values)
        scaled = np.log(places) if self.log else places
        low, high = self._scaled_ends()
        return (scaled - low) / (high - low) if high > low else np.where(np.isnan(scaled), np.nan, 0.5)

    def ends(self) -> tuple[str, str]:
        """The lowest and the highest, for people."""
        named = self._names or self._shown
        return told(named[0]), told(named[-1])

    def set(self, axes: Axes, *, every: bool = False) -> None:
        """Give the horizontal axis its scale, its ends and its ticks.

        Parameters
        ----------
        every
            Whether each value gets a tick, however many there are.
        """
        low, high = self._shown[0], self._shown[-1]
        few = every or len(self._shown) <= _MOST_VALUES_LABELLED
        if self.log:
            axes.set_xscale("log", base=2 if self._knob == "batch_size" else 10)
            room = max(1.2, (high / low) ** 0.08)
            axes.set_xlim(low / room, high * room)
            by_value = every or (few and is_whole(self._knob, pd.Series(self._shown)))
            label_ticks(axes, self._shown if by_value else nice_ticks(low / room, high * room))
            return
        room = 0.5 if self.whole else max((high - low) * 0.08, 1e-9)
        axes.set_xlim(low - room, high + room)
        if self.text:
            axes.set_xticks(self._shown, [told(name) for name in self._names])
        elif few and (every or self.whole):
            label_ticks(axes, self._shown)

    def _scaled_ends(self) -> tuple[float, float]:
        low, high = self._shown[0], self._shown[-1]
        return (float(np.log(low)), float(np.log(high))) if self.log else (float(low), float(high))
