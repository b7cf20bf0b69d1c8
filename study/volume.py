"""How much this process says; set by the command line, asked by whoever would say more than a line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Volume:
    """How much is said.

    Parameters
    ----------
    quiet
        Results and errors alone.
    verbose
        Ray's own log, too, and where errors come from.
    """

    quiet: bool = False
    verbose: bool = False


volume = Volume()
