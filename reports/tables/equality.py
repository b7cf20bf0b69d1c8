"""Whether the frameworks were shown to compute the same training: the certificate of ``tuneoff verify``."""

from __future__ import annotations

import shlex
from typing import Any

import pandas as pd

from reports.names import title

COLUMNS = ("optimizer", "precision", "quantity", "difference", "bound", "step", "tensor")


def equality_table(certificate: dict[str, Any]) -> pd.DataFrame:
    """The largest relative differences, one row per optimizer, precision and quantity.

    Returns
    -------
    Columns: optimizer, precision, quantity; difference, the one nearest to its bound over all steps and tensors; bound;
    step and tensor, where it was seen.
    """
    rows = []
    for comparison in certificate.get("comparisons", []):
        for worst in comparison["worst"]:
            row = {**worst, "optimizer": comparison["optimizer"], "precision": comparison["precision"]}
            rows.append([row["value" if column == "difference" else column] for column in COLUMNS])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def equality_said(certificate: dict[str, Any], workload: str, own: str | None = None) -> str:
    """What the certificate proves, or that there is none and how to get one.

    Parameters
    ----------
    own
        `reports.tables.provenance.own_workload`.
    """
    if not certificate:
        return (
            "Not verified: no certificate fits the software of this study. "
            f"Run `tuneoff verify {shlex.quote(own or workload)}`{' in its folder' if own else ''}, "
            "then `tuneoff report` again."
        )
    both = " and ".join(title(name) for name in certificate["frameworks"])
    steps = certificate["comparisons"][0]["steps"]
    day = certificate["at"].partition("T")[0]
    if not certificate["equal"]:
        failures = [each for each in certificate["comparisons"] if each["failure"] is not None]
        first = failures[0]["failure"]
        where = " of ".join(filter(None, [first["quantity"], first["tensor"]]))
        return (
            f"{both} do NOT compute the same training ({day}): {failures[0]['optimizer']} in "
            f"{failures[0]['precision']} differs in {where} at step {first['step']}. "
            "Do not trust a comparison of their times."
        )
    return (
        f"Verified on {day}: {both}, given the same weights and batches, compute the same outputs, losses, gradients "
        f"and parameters up to rounding, over {steps} steps"
        + (f", dropout {certificate['dropout']}" if "dropout" in certificate else "")
        + ". Largest relative differences:"
    )
