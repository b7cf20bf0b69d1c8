"""Commands that read studies and run nothing: status, report, compare."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from study.cli.groups import Prices, grouped
from study.cli.options import AsJson, StudyDir, StudyDirs
from study.cli.output import out, results
from study.cli.running import keep_prices, open_study, write_report
from study.cli.working import at_work
from study.console import listed
from trainables.common.errors import UserError
from trainables.common.places import path_at


class Sides(StrEnum):
    """What a comparison is between."""

    framework = "framework"
    study = "study"


@at_work("reading the records")
@grouped
def report(
    folder: StudyDir,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing: compute every number again and say which differ.")
    ] = False,
    *,
    prices: Prices,
) -> None:
    """Write the report again from the records.

    With --verify: exit code 1 when the written report and the records differ.
    """
    from reports.page.checking import unchecked, verify_report
    from study.cli.comparing import is_comparison
    from study.store.chain import chain_differences
    from study.store.lock import is_running
    from study.store.parquet import parquet_differences

    if is_comparison(folder):
        raise UserError(
            f"{folder} is a page over several studies; `tuneoff compare DIR DIR --out {folder}` writes it "
            "again, with --verify checks it"
        )
    found, _ = open_study(folder)
    if not verify:
        keep_prices(found, prices.checked())
        write_report(found)
        return
    if is_running(found):
        raise UserError(f"{folder} is running, and its records change; verify its report when it is done")
    differences = [*chain_differences(found), *parquet_differences(found), *verify_report(found.path)]
    _tell(differences, unchecked(found.path / "report" / "index.html"))


def _tell(differences: list[str], left_out: list[str]) -> NoReturn:
    """What checking a page found; exit code 1 where that is anything."""
    for difference in differences:
        results.print(difference, highlight=False)
    results.print(f"{len(differences)} differ." if differences else "Every number is what the records say.")
    for each in left_out:
        results.print(f"Not compared: {each}.", highlight=False)
    raise typer.Exit(1 if differences else 0)


@at_work("reading the records")
def compare(
    folders: StudyDirs,
    out_dir: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            parser=path_at("--out"),
            help="Folder for the page with its tables and figures, or an .html file for the page alone.",
        ),
    ] = Path("results/comparison"),
    by: Annotated[
        Sides | None,
        typer.Option(
            "--by",
            metavar="framework|study",
            help="What stands against what: the frameworks of each study, or the studies. "
            "Studies, if each has one framework and all have the same target; else frameworks.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Write nothing: compute every number of --out again and say which differ."),
    ] = False,
) -> None:
    """Write one page over several studies.

    By framework: each study's ratio of times, and their mean over workloads or machines. By study: SGD against Adam,
    one machine against another, two plans of one workload, with the same statistics and the same page as of two
    frameworks.

    With --verify, the same studies, --out and --by: exit code 1 when the written page and the records differ.
    """
    from study.cli.comparing import comparison_differences, is_comparison, write_comparison

    for written in [each for each in folders if is_comparison(each)]:
        out.print(f"{written} is left out: it is no study but a page of `tuneoff compare`", highlight=False)
        folders.remove(written)
    if len(folders) < 2:
        raise UserError("compare needs two studies or more; `tuneoff report` is for one")
    found = [open_study(folder)[0] for folder in folders]
    studies = [each.path for each in found]
    if verify:
        _tell(*comparison_differences(found, out_dir, by.value if by else ""))
    said, page, note = write_comparison(studies, out_dir, by.value if by else "")
    results.print(said, style="bold", highlight=False)
    results.print(f"comparison: {page}{note}", highlight=False)


def status(folder: StudyDir, as_json: AsJson = False) -> None:
    """Show what a study has done so far; works while it runs."""
    from study.cli.status import progress_of
    from study.cli.status import status as look
    from trainables.frameworks import framework

    found, plan = open_study(folder, edited=True)
    state = look(plan, found)
    if as_json:
        print(json.dumps(state, indent=2))
        return
    stopped = f"stopped; `{found.resume_command()}`"
    finished = "finished, without a usable result" if state["without_result"] else "finished"
    doing = "running" if state["running"] else finished if state["done"] else stopped
    results.print(f"{state['study']} ({state['workload']}): {doing}")
    said = {
        framework(name).title: progress_of(each, sweep=plan.sweep is not None)
        for name, each in state["frameworks"].items()
    }
    for line in listed(said, results.width):
        results.print(line, highlight=False)
    if (failed := state["failures"]) is not None:
        results.print(f"{failed['said']}; `{found.resume_command()} --retry-failed` runs them again", highlight=False)
    if state["report"]:
        results.print(f"report: {state['report']}")
