"""The command line: ``tuneoff``. Which commands there are, and what becomes of what they raise."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import typer

from reports.errors import ReportError
from study.cli import beginning, machine, plans, reading, replaying, studies, training
from study.cli.help import SETTINGS, Command, Group, examples, glossary
from study.cli.misuse import told
from study.cli.output import (
    JuliasVerbose,
    Quiet,
    RaysVerbose,
    Verbose,
    fail,
    results,
    set_volume,
    settled,
    takes_no_line,
    with_volume,
)
from study.cli.recipes import recipes
from study.console import complain, speak_in_any_encoding
from study.ending import ending_the_command
from study.signals import Interrupted
from trainables.common.errors import UserError

BAD_INPUT = 2

app = typer.Typer(
    name="tuneoff", cls=Group, context_settings=SETTINGS, pretty_exceptions_enable=False, rich_markup_mode=None
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tuneoff {version('tuneoff')}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "tuneoff doctor                     what is here, what is missing, what to do",
        "tuneoff launch quickstart          a whole study, in minutes on 2 CPUs",
        "tuneoff status results/quickstart  how far it is, and where its report lies",
        "tuneoff COMMAND --help             what a command does, with examples",
    ).replace("Examples", "First steps")
)
def tuneoff(
    show_version: Annotated[  # noqa: ARG001 - its callback prints it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Quiet = False,
    verbose: RaysVerbose = False,
) -> None:
    """PyTorch or Flux.jl, each at its best configuration: which reaches the target accuracy sooner?

    Tunes a training in each framework on equal budgets, runs each winner again with fresh seeds, and writes a report
    that says who was faster, how sure that is, and what the search cost.
    """
    set_volume(quiet=quiet, verbose=verbose)


_VERBOSE: dict[Callable[..., None], Any] = {
    machine.setup_julia: JuliasVerbose,
    **dict.fromkeys((studies.launch, studies.sweep, studies.resume, studies.confirm, machine.doctor), RaysVerbose),
}


def _add(panel: str, function: Callable[..., None], *lines: str, more: str = "") -> None:
    """Make a function a command, under a heading, with examples."""
    epilog = "\n\n".join(filter(None, [more, examples(*lines)]))
    name = function.__name__.replace("_", "-")
    app.command(name, cls=Command, rich_help_panel=panel, epilog=epilog)(
        with_volume(function, _VERBOSE.get(function, Verbose))
    )


_PLANS = "\n".join(
    [
        "Plans:",
        *(f"  {line}" for line in plans.listed_plans()),
        "",
        "`tuneoff plan PLAN` prints all the keys of one, with what they mean.",
        "",
        glossary(),
    ]
)
_add(
    "Studies",
    plans.plan,
    "tuneoff plan",
    "tuneoff plan mnist-lenet --set search.trials=50",
    "tuneoff plan mnist-lenet > mine.toml; tuneoff launch mine.toml",
)
_add(
    "Studies",
    studies.launch,
    "tuneoff launch quickstart",
    "tuneoff launch quickstart --frameworks pytorch --name torch-only",
    "tuneoff launch my-task",
    "tuneoff launch mnist-lenet --name adam --set training.optimizer=adam",
    "tuneoff launch fashion-lenet --warm-start results/mnist-lenet",
    "tuneoff launch mnist-resnet18 --address 10.0.0.1:6379 --out /shared/results",
    more=_PLANS,
)
_add(
    "Studies",
    studies.sweep,
    "tuneoff sweep digits-lenet --over batch_size=32,64,128",
    "tuneoff sweep my-task --over hidden=32,64,128",
    "tuneoff sweep mnist-lenet --over num_workers=2,4,8,16 --set slice.cpus=4",
)
_add(
    "Studies",
    studies.resume,
    "tuneoff resume results/quickstart",
    "tuneoff resume results/quickstart --set search.trials=40",
    "tuneoff resume results/quickstart --retry-failed",
)
_TRAINING = "--framework pytorch --workload digits-lenet \\\n      --learning-rate 0.05 --batch-size 64"
_add(
    "Studies",
    studies.confirm,
    "tuneoff confirm results/quickstart",
    "tuneoff confirm results/quickstart --disturbed",
    more=glossary(),
)
_add("Studies", beginning.new, "tuneoff new my-task", "tuneoff launch my-task")
_add(
    "Results",
    reading.status,
    "tuneoff status results/quickstart",
    "tuneoff status results/quickstart --json",
    more=glossary(),
)
_add(
    "Results",
    reading.report,
    "tuneoff report results/quickstart --gpu-hour 2.50",
    "tuneoff report results/quickstart --verify",
)
_add(
    "Results",
    reading.compare,
    "tuneoff compare results/mnist-lenet results/fashion-lenet",
    "tuneoff compare results/sgd results/adam --by study",
    "tuneoff compare results/* --out everything.html",
)
_add(
    "Recorded curves",
    replaying.replay,
    "tuneoff replay fashion-lenet",
    "tuneoff replay fashion-lenet --set search.scheduler=asha --slots 4",
    "tuneoff replay results/dense --repetitions 100 --json",
)
_add(
    "Single trainings",
    training.train,
    f"tuneoff train {_TRAINING}",
    f"tuneoff train {_TRAINING} --epochs 10 --json",
)
_add(
    "Single trainings",
    training.verify,
    "tuneoff verify digits-lenet",
    "tuneoff verify my-task other-task",
)
_add(
    "This machine", machine.doctor, "tuneoff doctor", "tuneoff doctor my-task", "tuneoff doctor --address 10.0.0.1:6379"
)
_add(
    "This machine",
    machine.setup_julia,
    "tuneoff setup-julia",
    "tuneoff setup-julia --workload my-task",
    "tuneoff setup-julia --no-gpu --time-limit 3600",
)
app.add_typer(recipes, name="cluster", rich_help_panel="Clusters")


def main() -> None:
    """Entry point: bad input becomes one line on stderr and exit code 2."""
    speak_in_any_encoding()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it may not keep its fonts is not worth a line
    set_volume(quiet=False, verbose=False)
    try:
        with ending_the_command():
            code = _run(sys.argv[1:] or ["--help"])
    except Interrupted as interrupted:
        complain(f"ended by {interrupted}")
        code = interrupted.exit_code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    sys.exit(settled(code))


def _run(arguments: list[str]) -> int:
    if sys.stdout is None:
        fail("stdout is closed, and what is printed would be lost; > /dev/null says that nobody reads it", 1)
    try:
        command = typer.main.get_command(app)
        return command.main(arguments, prog_name="tuneoff", standalone_mode=False) or 0
    except (UserError, ReportError) as error:
        fail(str(error), BAD_INPUT)
    except typer.TyperException as error:
        fail(told(error), BAD_INPUT)
    except OSError as error:
        if error.filename is None and takes_no_line(sys.stdout):
            results.lost = error
            return 1
        fail(f"cannot use {error.filename or 'a file'} ({error.strerror})", 1)
