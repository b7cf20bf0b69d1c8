"""What a command that takes its time shows and answers: something moves from its first moment, and Ctrl-C is heard."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from study.cli.output import out
from study.console import Screen, complain
from study.interrupts import Interrupts
from study.signals import Interrupted, leave_at_once

P = ParamSpec("P")

screen = Screen(out)


def warn(message: str) -> None:
    """Where the user looks; what moves goes on."""
    if screen.moves:
        screen.say(message)
    else:
        complain(message)


def _answer(message: str) -> None:
    warn(message)
    screen.doing("stopping")


interrupts = Interrupts(_answer)


def at_work(what: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """For commands that take their time: something moves on a terminal before anything heavy is imported.

    Parameters
    ----------
    what
        The command does first.
    """

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def run(*arguments: P.args, **options: P.kwargs) -> None:
            with screen.moving(what):
                command(*arguments, **options)

        return run

    return decorate


def stoppable(command: Callable[P, None]) -> Callable[P, None]:
    """For commands that run a study: Ctrl-C and SIGTERM are answered at once, and told how to go on after them."""

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        interrupts.means = interrupts.farewell = ""
        try:
            with interrupts.handled():
                command(*arguments, **options)
        except Interrupted as interrupted:
            complain(interrupts.last_words(interrupted))
            leave_at_once(interrupted.exit_code)

    return run
