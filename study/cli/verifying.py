"""``tuneoff verify``: the comparisons of a workload, shown as they run, and their certificate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from study.console import Measure, Screen
from study.store.certificate import certificate_path, write_certificate
from trainables.common.errors import UserError
from trainables.frameworks import framework, traced
from trainables.verify.compare import KINDS, Comparison, compare
from trainables.workloads.workload import Workload


def sides(workload: Workload, asked: Sequence[str] = ()) -> list[str]:
    """The frameworks between which a workload is compared, the reference first; `UserError` where there are not two.

    Parameters
    ----------
    asked
        Their names; none: all that have a model and need not be asked for.
    """
    if asked:
        for name in asked:
            framework(name).model_file(workload)
            if name not in traced():
                raise UserError(f"{framework(name).title} cannot be compared step by step")
        if len(set(asked)) < 2:
            raise UserError(f"--frameworks names {asked[0]} alone: there is nothing to compare it with")
        return list(asked)
    found = [name for name in traced() if framework(name).trains(workload) and not framework(name).on_request]
    if len(found) < 2:
        models = " and ".join(path.name for path in workload.models.values())
        raise UserError(f"{workload.name} has {models} alone: there is nothing to compare it with")
    return found


def verify_workload(workload: Workload, frameworks: Sequence[str], *, steps: int, screen: Screen) -> dict[str, Any]:
    """Compare frameworks in all `KINDS` and write the certificate.

    Parameters
    ----------
    frameworks
        Two or more; the first is the reference that each other is compared with.
    screen
        Where progress is shown.

    Returns
    -------
    The certificate, as its JSON file has it, with its ``path``.
    """
    comparisons: list[Comparison] = []
    reference, *others = frameworks
    kinds = [(other, *kind) for other in others for kind in KINDS]
    done = 0

    def on_step(_: int) -> None:
        nonlocal done
        done += 1

    with screen.moving(workload.name):
        screen.showing(lambda: Measure(done, len(kinds) * (steps + 1)))
        for other, optimizer, precision in kinds:
            screen.doing(f"{workload.name}, {framework(other).title}, {optimizer}, {precision}")
            pair = (reference, other)
            comparisons.append(compare(workload, optimizer, precision, frameworks=pair, steps=steps, on_step=on_step))
        screen.showing()
    path = certificate_path(workload, frameworks)
    certificate = write_certificate(workload, frameworks, comparisons, path)
    return {**certificate, "path": str(path)}


def print_certificate(certificate: dict[str, Any], console: Console) -> None:
    """Show it as a table and a verdict."""
    table = Table(title=f"{certificate['workload']}: largest relative differences")
    for column in ("optimizer", "precision", "quantity", "difference", "bound", "where"):
        table.add_column(column, overflow="fold")
    for comparison in certificate["comparisons"]:
        for row in comparison["worst"]:
            where = f"step {row['step']}" + (f", {row['tensor']}" if row["tensor"] else "")
            mark = "" if row["value"] is not None and row["value"] <= row["bound"] else "  BEYOND"
            table.add_row(
                comparison["optimizer"],
                comparison["precision"],
                row["quantity"],
                "not a number" if row["value"] is None else f"{row['value']:.1e}",
                f"{row['bound']:.1e}{mark}",
                where,
            )
        table.add_section()
    console.print(table, markup=False)
    console.print(said(certificate), highlight=False, markup=False)
    console.print(f"certificate: {certificate['path']}", highlight=False, markup=False)


def _without(certificate: dict[str, Any]) -> str:
    return f", dropout {certificate['dropout']}" if "dropout" in certificate else ""


def said(certificate: dict[str, Any]) -> str:
    """The verdict in a sentence."""
    for comparison in certificate["comparisons"]:
        failure = comparison["failure"]
        titles = " and ".join(framework(name).title for name in comparison["frameworks"])
        if failure is not None:
            what = " of ".join(filter(None, [failure["quantity"], failure["tensor"]]))
            value = "not a number" if failure["value"] is None else f"{failure['value']:.1e}"
            return (
                f"{titles} do NOT compute the same {certificate['workload']}: {comparison['optimizer']}, "
                f"{comparison['precision']}, step {failure['step']}: {what} differs by {value}, "
                f"more than {failure['bound']:.1e}."
            )
    steps = certificate["comparisons"][0]["steps"]
    titles = " and ".join(framework(name).title for name in certificate["frameworks"])
    told = f"{titles} compute the same {certificate['workload']}, up to rounding, over {steps} steps"
    return f"{told}{_without(certificate)}."
