"""What is searched, per framework, as Optuna distributions; never how it is searched, and no framework."""

from search_spaces.names import ALWAYS, HYPERPARAMETERS
from search_spaces.ranges import Choices, Range, Searched, Value, distributions

__all__ = ["ALWAYS", "HYPERPARAMETERS", "Choices", "Range", "Searched", "Value", "distributions"]
