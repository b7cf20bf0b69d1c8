"""Messages about a plan's keys, for commands whose options stand for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from trainables.common.errors import UserError


def in_flags(message: str, flags: Mapping[str, str]) -> str:
    """The message with options in place of the keys that they stand for.

    Parameters
    ----------
    flags
        Options by key; ``--set KEY=VALUE`` becomes ``OPTION VALUE``.
    """
    for key, flag in flags.items():
        known = rf"(?<![\w.-]){re.escape(key)}(?!\w|\.\w)"
        message = re.sub(rf"--set {known}=", f"{flag} ", message)
        message = re.sub(known, flag, message)
    return message


@contextmanager
def said_in_flags(flags: Mapping[str, str]) -> Iterator[None]:
    """Lets a `UserError` of the block name options, where it names keys that they stand for."""
    try:
        yield
    except UserError as error:
        raise type(error)(in_flags(str(error), flags)) from error
