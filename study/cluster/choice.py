"""What the user wants of the nodes; known before Ray is, which must not be imported before its environment is set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeChoice:
    """What the user wants of the cluster's nodes.

    Parameters
    ----------
    exclude
        Addresses, or host names, of those that get no trial.
    allow_mixed
        Whether to go on where nodes differ, and without those that lack something.
    """

    exclude: tuple[str, ...] = ()
    allow_mixed: bool = False


ANY_NODES = NodeChoice()
