"""What is searched, per framework, as Optuna distributions; never how it is searched, and no framework."""

from search_spaces.ranges import Choices, Range, Searched, distributions
from search_spaces.spaces import SPACES, space

__all__ = ["SPACES", "Choices", "Range", "Searched", "distributions", "space"]
