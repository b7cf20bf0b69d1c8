"""A command line that cannot be understood: what is wrong with it, all of it at once, in words of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer
from pydantic import ValidationError

from trainables.common.suggest import nearest
from trainables.common.words import wrong

_TOO_MANY = re.compile(r"Got unexpected extra arguments?\S* \((.*)\)")
_UNKNOWN = re.compile(r"No such command '(.*?)'\.")


def told(error: typer.TyperException) -> str:
    """What is wrong, for one line, and the page that has the answer."""
    context: Any = getattr(error, "ctx", None)
    page = f"{context.command_path} --help" if context is not None else "tuneoff --help"
    return f"{_told(error, context)} (see {page})"


def _told(error: typer.TyperException, context: Any) -> str:
    message = error.format_message()
    option, parameter = getattr(error, "option_name", None), getattr(error, "param", None)
    if option is not None and ("value" in message or "requires" in message):
        return f"{option} {'takes no value' if 'not take' in message else 'needs a value'}"
    if context is None:
        return message
    if option is not None:
        near = " or ".join(getattr(error, "possibilities", None) or ())
        return f"unknown option {option}" + (f"; did you mean {near}?" if near else "")
    if hasattr(error, "param_type"):
        return _missing(context)
    if parameter is not None and isinstance(error.__cause__, ValidationError):
        return _wrong(parameter, dict(error.__cause__.errors()[0]))
    if found := _UNKNOWN.match(message):
        return f"unknown command '{found[1]}'{nearest(found[1], context.command.commands)}"
    if message.startswith("Missing command"):
        return f"name a command: {', '.join(context.command.commands)}"
    if found := _TOO_MANY.match(message):
        return f"'{found[1]}' is more than this command takes"
    return message


def _wrong(parameter: Any, problem: dict[str, Any]) -> str:
    """A value that an option does not take."""
    name, given = _named(parameter), problem["input"]
    if "|" in (parameter.metavar or ""):
        return f"unknown {name} '{given}'{nearest(str(given), parameter.metavar.split('|'))}"
    return wrong(name, {**problem, "input": _as_number(given)})


def _missing(context: Any) -> str:
    """All that is required and was not given; what was given is read first, and has its value by now."""
    required = [each for each in context.command.params if each.required and each.name not in context.params]
    names = [_named(each) for each in required]
    return f"{_listed(names)} {'is' if len(names) == 1 else 'are'} missing"


def _named(parameter: Any) -> str:
    """An option or an argument as it is typed."""
    return str(parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar)


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _as_number(typed: Any) -> Any:
    """A number where one was typed, for it to be shown as such."""
    for kind in (int, float):
        try:
            return kind(typed)
        except (TypeError, ValueError):
            continue
    return typed
