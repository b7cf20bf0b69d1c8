"""Folders for temporary files in which sockets can be made.

A socket's path may have some 107 bytes, and not every file system takes one; a batch system's TMPDIR is often too long,
or on storage that has no sockets.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes: AF_UNIX's sun_path, less its final zero
SHARED_MEMORY = "/dev/shm"  # where Linux keeps it
PLACES = ("/tmp", "/var/tmp", SHARED_MEMORY)


def socket_problem(folder: str | Path, name: str) -> str | None:
    """Why a socket of this name cannot be made beneath a folder, as a sentence without its subject; None when it can.

    Parameters
    ----------
    folder
        That exists, or not.
    name
        Relative to the folder; only its length matters.
    """
    longest = LONGEST_SOCKET - len(os.fsencode(name)) - 1
    if len(os.fsencode(folder)) > longest:
        return f"is {len(os.fsencode(folder))} bytes long, and sockets in it leave room for {longest}"
    if not Path(folder).is_dir():
        return "does not exist" if not Path(folder).exists() else "is not a folder"
    try:
        inner = tempfile.mkdtemp(prefix=".t-", dir=folder)
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    try:
        Path(inner, "file").write_bytes(bytes(2**12))
        with socket.socket(socket.AF_UNIX) as tried:
            tried.bind(f"{inner}/s")
    except OSError as error:
        return f"has no room or takes no sockets ({error.strerror or error})"
    finally:
        shutil.rmtree(inner, ignore_errors=True)
    return None


@lru_cache
def folder_for_sockets(name: str) -> str | None:
    """Another folder for temporary files, where sockets of this name cannot be made in the usual one; else None.

    None, too, where there is no other: then what needs the socket tells what is wrong.
    """
    try:
        usual = tempfile.gettempdir()
    except OSError:  # none at all can be written
        return None
    if socket_problem(usual, name) is None:
        return None
    return first_for_sockets(PLACES, name)


def first_for_sockets(folders: Iterable[str], name: str) -> str | None:
    """The first of these in which sockets of this name can be made."""
    return next((folder for folder in folders if socket_problem(folder, name) is None), None)
