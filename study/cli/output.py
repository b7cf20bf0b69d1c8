"""What a command prints: results, what it says on the way to them, and errors; and how much of that is wanted."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, NoReturn, TextIO

import typer

from study.console import SteadyConsole, complain
from study.volume import volume
from trainables.common.errors import UserError

out = SteadyConsole(soft_wrap=True, markup=False)  # what is said on the way
results = SteadyConsole(soft_wrap=True, markup=False)  # what was asked for

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors, and nothing on the way.")]


def _verbose(said: str) -> Any:
    return typer.Option("--verbose", "-v", help=said)


Verbose = Annotated[bool, _verbose("Print where an error comes from, too.")]
RaysVerbose = Annotated[bool, _verbose("Print Ray's own log, too, and where an error comes from.")]
JuliasVerbose = Annotated[bool, _verbose("Print all that Julia says, too, and where an error comes from.")]


def set_volume(*, quiet: bool, verbose: bool) -> None:
    """Say as much as this, from now on.

    Raises
    ------
    UserError
        When both are wanted.
    """
    if quiet and verbose:
        raise UserError("--quiet and --verbose contradict one another; give one of them")
    volume.quiet, volume.verbose = quiet, verbose
    out.quiet, results.quiet = quiet, False  # which a closed pipe has made quiet, too
    results.lost = None


def with_volume(function: Callable[..., None], verbose: Any = Verbose) -> Callable[..., None]:
    """The command with --quiet and --verbose, which may also stand before it.

    Parameters
    ----------
    verbose
        The latter, with its help: `RaysVerbose` for a command that starts or asks Ray.
    """

    @wraps(function)
    def command(*, quiet: bool, verbose: bool, **given: Any) -> None:
        set_volume(quiet=quiet or volume.quiet, verbose=verbose or volume.verbose)
        function(**given)

    own = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("verbose", verbose))
    ]
    known = signature(function, eval_str=True)
    command.__signature__ = known.replace(parameters=[*known.parameters.values(), *own])  # type: ignore[attr-defined]
    return command


def fail(message: str, code: int) -> NoReturn:
    """One line on stderr, and the end of the process; where more is wanted, what led to it first."""
    error = sys.exception()
    tell_where(error)
    if not volume.verbose:  # else it has been shown
        tell_aside("\n".join(getattr(error, "__notes__", [])))
    complain(message)
    sys.exit(code)


def tell_aside(text: str) -> None:
    """What somebody else's code printed, on stderr; above what moves there."""
    if text and sys.stderr is not None:
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def told_of_data(text: str) -> None:
    """What data.py printed, where more is wanted."""
    if volume.verbose:
        tell_aside(text)


def tell_where(error: BaseException | None) -> None:
    """Where an error comes from, with its causes, on stderr; only where more is wanted."""
    if error is None or not volume.verbose:
        return
    each: BaseException | None = error
    while each is not None:  # `from None` keeps causes from users, which is who does not ask for more
        each.__suppress_context__ = False
        each = each.__cause__ or each.__context__
    with suppress(OSError):
        traceback.print_exception(error)


def settled(code: int) -> int:
    """The exit code, now that all is printed: another where stdout did not take it, which is said in a line."""
    problem = _flushed(sys.stdout) or results.lost
    if problem is not None and not isinstance(problem, BrokenPipeError):  # nobody reads any more: no error of ours
        complain(f"cannot write to stdout ({problem.strerror})")
        code = code or 1
    _flushed(sys.stderr)
    return code


def takes_no_line(stream: TextIO) -> bool:
    """Whether a stream cannot be written, which the errors of Python's writing do not name."""
    with suppress(OSError):
        stream.write("\n")
        stream.flush()
        return False
    return True


def _flushed(stream: TextIO | None) -> OSError | None:
    """Why a stream cannot be written; Python would try again at its end, with an error message and code of its own."""
    if stream is None:
        return None
    try:
        stream.flush()
    except OSError as error:
        with suppress(OSError):  # no file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return error
    return None
