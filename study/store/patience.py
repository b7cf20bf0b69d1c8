"""Storage that is full or away: wait for it, and tell; a study of days must not end for a minute without a disk."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 600.0
RETRY_S = 1.0
# What an hour from now would be refused as today; a disk that is full, a server or a folder that is away may come back.
REFUSALS = frozenset(
    {
        errno.EPERM,
        errno.EACCES,
        errno.EROFS,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EINVAL,
        errno.EILSEQ,
    }
)


class StorageGone(Exception):
    """Storage could not be used for longer than anybody waits, or refused what waiting does not change."""


def passes(error: OSError) -> bool:
    """Whether storage that refuses with this error may do later what it refuses now."""
    return error.errno not in REFUSALS


class Patience:
    """Tries again what storage refuses.

    Parameters
    ----------
    say
        Told once when the waiting begins and once when it ends.
    limit_s
        Seconds after which to give up.
    """

    def __init__(self, say: Callable[[str], None], *, limit_s: float = PATIENCE_S, retry_s: float = RETRY_S) -> None:
        self._say = say
        self._limit_s = limit_s
        self._retry_s = retry_s

    def attempt(self, path: Path, action: Callable[[], None]) -> None:
        """Run an action on a file, one that can be run again, until it succeeds.

        Raises
        ------
        StorageGone
            When it still fails after the limit; at once where the error is one that does not pass.
        """
        began = time.monotonic()
        told = False
        while True:
            try:
                action()
                break
            except OSError as error:
                if not passes(error):
                    raise StorageGone(f"cannot use {path} ({error.strerror}), and no waiting changes that") from error
                if time.monotonic() - began > self._limit_s:
                    raise StorageGone(f"{path} could not be used for {self._limit_s:.0f} s ({error})") from error
                if not told:
                    self._say(f"cannot use {path} ({error.strerror or error}); waiting for the storage")
                    told = True
                time.sleep(self._retry_s)
        if told:
            self._say(f"{path} can be used again, after {time.monotonic() - began:.0f} s")
