"""What a study's target is about: an accuracy that runs must reach, or a loss that they must come down to."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Goal:
    """A metric, in columns and in words.

    Parameters
    ----------
    validation, best, test
        Columns: of evaluations; of trials, the best of these; of trials, on the test split.
    name
        Of the metric.
    time
        What the time to the target is called.
    rises
        Whether more is better.
    """

    validation: str
    best: str
    test: str
    name: str
    time: str
    rises: bool

    def met(self, value: float, target: float) -> bool:
        """Whether a value meets the target; one that is not known does not."""
        return value >= target if self.rises else value <= target

    def spelled(self, value: float) -> str:
        """A value of the metric."""
        return f"{100 * value:.4g} %" if self.rises else f"{value:.4g}"

    def told(self, target: float) -> str:
        """The target in words."""
        return f"{self.spelled(target)} validation accuracy" if self.rises else f"a validation loss of {target:.4g}"


ACCURACY = Goal(
    "validation_accuracy", "best_validation_accuracy", "test_accuracy", "accuracy", "time to accuracy", rises=True
)
LOSS = Goal("validation_loss", "best_validation_loss", "test_loss", "loss", "time to the target loss", rises=False)


def goal_of(trials: pd.DataFrame) -> Goal:
    """The goal of a study's trials; those that older versions recorded are all about accuracy."""
    return LOSS if "metric" in trials and (trials["metric"] == "loss").any() else ACCURACY
