"""How a running cluster is entered: with a token or without, as it wants and as the user has one.

To be settled before the first import of Ray, which reads the variables then. Ray itself asks for no token unless told
to, although `ray start` wants one wherever it finds one in the home folder.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from study.cluster.address import AUTO, Place
from trainables.common.errors import UserError
from trainables.common.house import python

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
WITHOUT, WITH = "disabled", "token"
KNOCK_LIMIT_S = 45.0  # for one that answers and is no Ray: its core tries for so long
_RIGHT_TOKEN = f"set {TOKEN} to what `ray get-auth-token` prints on its head"


def enter(place: Place) -> Place:
    """See to it that Ray gets in, and how; returns the place with the cluster's own address.

    Raises
    ------
    UserError
        When there is no cluster, or it lets nobody in; with the variable that does.
    """
    if place.address is None:
        return place
    address, answer = place.address, ""
    for mode in _modes():
        address, answer = _knock(place.address, mode)
        if answer == "in":
            os.environ[MODE] = mode
            return replace(place, address=address)
        if answer != "refused":
            break
    if answer == "refused":
        raise UserError(_refusal(address))
    if answer == "none":
        raise UserError(
            f"no Ray cluster runs on this machine ({place.source} {AUTO}); "
            "give --address HOST:PORT of one, or local for a Ray of this study's own"
        )
    raise UserError(f"no Ray cluster at {address}; `ray status` there tells its address")


def _modes() -> Iterator[str]:
    """What is worth a try: what the user has said; else without a token first, which must not travel for nothing."""
    said = os.environ.get(MODE, "").lower()
    source = token_source()
    if said == WITH and source is None:
        raise UserError(f"{MODE} is {WITH}, and there is no token here; {_RIGHT_TOKEN}, or unset {MODE}")
    if said:
        yield said
        return
    modes = [WITHOUT] if source is None else [WITHOUT, WITH]
    yield from modes if source is None or source.startswith("~") else reversed(modes)


def token_source() -> str | None:
    """Where the token comes from that Ray takes: a variable, with its file, or the file in the home folder."""
    if os.environ.get(TOKEN):
        return TOKEN
    path = os.environ.get(TOKEN_PATH)
    if path:
        if not os.access(path, os.R_OK):  # Ray's core would end this process
            raise UserError(f"{TOKEN_PATH} is {path}, which cannot be read; {_RIGHT_TOKEN}, or unset {TOKEN_PATH}")
        return f"{TOKEN_PATH} ({path})"
    usual = Path(os.environ.get("HOME") or "/nowhere", ".ray", "auth_token")
    return "~/.ray/auth_token" if os.access(usual, os.R_OK) and usual.read_bytes().strip() else None


def _refusal(address: str) -> str:
    """One line: which variable must have which value."""
    source, said = token_source(), os.environ.get(MODE, "").lower()
    wants = f"the Ray cluster at {address} wants a token"
    if source is None:
        also = f" and unset {MODE}" if said else ""
        return f"{wants}, and there is none here; {_RIGHT_TOKEN}{also}"
    if said and said != WITH:
        return f"{wants}, and {MODE} is {said}; set {MODE}={WITH} (the token would be that of {source})"
    return f"{wants}, and not that of {source}; {_RIGHT_TOKEN}"


def _knock(address: str, mode: str) -> tuple[str, str]:
    """What `study.cluster.knock` says, tried in one mode."""
    environment = {**os.environ, MODE: mode, "RAY_USAGE_STATS_ENABLED": "0"}
    try:
        done = subprocess.run(
            python("study.cluster.knock", address),
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=KNOCK_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return f"{address} (no answer within {KNOCK_LIMIT_S:.0f} s)", "away"
    try:
        found, answer = json.loads(done.stdout.strip().split("\n")[-1])
    except ValueError:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit {done.returncode}")
        return f"{address} ({last.strip()[:200]})", "away"
    return found, answer
