"""``tuneoff replay``: a search on recorded curves, many times over, and what it cost and found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.cli.options import Settings, tables
from study.cli.output import results
from study.cli.working import at_work, screen
from study.console import listed
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from study.plan.plan import Plan
    from study.replay.recording import Recording
    from study.replay.regret import Truth
    from study.replay.repeated import Repetition


@at_work("reading the recording")
def replay(
    source: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="A shipped table's name, a table's folder, or the folder of a finished study with many trials.",
            autocompletion=tables,
        ),
    ],
    settings: Settings = None,
    repetitions: Annotated[
        int, typer.Option("--repetitions", metavar="N", min=1, help="Searches, each from another seed.")
    ] = 20,
    slots: Annotated[int, typer.Option("--slots", metavar="N", min=1, help="Trials at once.")] = 1,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Seed of the first search.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try a search on recorded learning curves: no training, no GPU, seconds.

    Trials take their evaluations from what was recorded, under a virtual clock; sampler, stopping rules and race are
    those of a real study. Says what the search would have cost, what it would have found, and what there was to find.
    --set changes keys of search and race.
    """
    from study.replay.finding import recording_at
    from study.replay.repeated import repeated
    from study.replay.search import limits_of

    recording = recording_at(source, settings or [])
    plan = recording.plan.model_copy(update={"seed": seed})
    limits_of(plan)  # before anything is said
    truths, left_out = _truths(plan, recording)
    if not truths:
        raise UserError(f"{source}: {left_out}; there is nothing to find")
    said: dict[str, Any] = {"recording": recording.said, "slots": slots, "frameworks": {}}
    if not as_json:
        results.print(recording.said, highlight=False)
        if left_out:
            results.print(f"{left_out}: left out", highlight=False)
    for name, truth in truths.items():
        done: list[Repetition] = []
        for each in repeated(plan, name, recording, slots=slots, repetitions=repetitions, truth=truth):
            done.append(each)
            screen.doing(f"searching: {len(done)} of {repetitions}")
        if as_json:
            said["frameworks"][name] = _as_data(truth, recording, done)
        else:
            _show(plan, name, truth, recording, done, slots)
    if as_json:
        print(json.dumps(said, indent=2))


def _truths(plan: Plan, recording: Recording) -> tuple[dict[str, Truth], str]:
    """Of each framework in which there is something to find; and what to tell of the others."""
    from study.replay.regret import Truth
    from trainables.frameworks import framework

    every = {name: Truth(plan, name, recording) for name in plan.frameworks}
    found = {name: truth for name, truth in every.items() if truth.any_reached}
    others = " and ".join(framework(name).title for name in every if name not in found)
    return found, f"no recorded training of {others} reaches the target" if others else ""


def _as_data(truth: Truth, recording: Recording, done: list[Repetition]) -> dict[str, Any]:
    best = {**recording.shown(truth.best), "truth_s": truth.least}
    return {"best_recorded": best, "repetitions": [each.as_dict() for each in done]}


def _show(plan: Plan, name: str, truth: Truth, recording: Recording, done: list[Repetition], slots: int) -> None:
    """A framework's searches, in a few lines; of numbers the median, and the quartiles in parentheses."""
    from study.replay.repeated import CLOSE, spread
    from trainables.frameworks import framework

    search, searches = plan.search, f"{len(done)} search{'es'[: 2 * (len(done) > 1)]}"
    head = f"{framework(name).title}: {searches} of {_counted(search.trials, 'trial')} ({search.sampler}, "
    results.print(f"{head}{search.scheduler}), {_counted(slots, 'slot')}", highlight=False)
    close = sum(each.close_s < float("inf") for each in done)
    raced = any(each.race_runs for each in done)
    counts = spread(done, lambda each: sum(each.outcomes.values()))
    early = "" if min(counts) == search.trials else "{:.0f} ({:.0f} to {:.0f}) ".format(*counts)
    said = {
        "search": f"{_seconds(spread(done, lambda each: each.search_s))}; {early}trials: {_outcomes(done)}",
        "race": _seconds(spread(done, lambda each: each.race_s)) if raced else "none",
        "found": _times(spread(done, lambda each: each.truth_s)),
        "best recorded": f"{truth.least:.3g} s: {_configuration(recording.shown(truth.best))}",
        f"within {CLOSE:.0%}": f"{close} of {searches}",
    }
    if close:
        there = [each for each in done if each.close_s < float("inf")]
        said[f"within {CLOSE:.0%}"] += f"; those after {_seconds(spread(there, lambda each: each.close_s))}"
    for line in listed({f"  {title}": each for title, each in said.items() if each}, results.width):
        results.print(line, highlight=False)


def _seconds(spread: tuple[float, float, float]) -> str:
    middle, low, high = (f"{value:.0f}" if value < float("inf") else "never" for value in spread)
    return f"{middle} slice-s ({low} to {high})"


def _times(spread: tuple[float, float, float]) -> str:
    """Seconds to the target of what was found, which may be nothing."""
    middle, low, high = (f"{value:.3g}" if value < float("inf") else "never" for value in spread)
    if middle != "never":
        return f"{middle} s ({low} to {high}) to the target"
    return "nothing that reaches the target" + (f", in most searches; else {low} s at best" if low != middle else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s'[: count != 1]}"


def _outcomes(done: list[Repetition]) -> str:
    """Mean shares of trials by how they ended, the most frequent first."""
    counts: dict[str, int] = {}
    for each in done:
        for outcome, count in each.outcomes.items():
            counts[outcome] = counts.get(outcome, 0) + count
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count / total:.0%} {outcome}" for outcome, count in ordered)


def _configuration(shown: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
    )
