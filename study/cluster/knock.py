"""Knocks at a cluster's door, in a process of its own.

Ray's core waits for long where nobody answers, writes pages, and ends its process where a token is missing.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError

TIMEOUT_S = 10.0
IN, REFUSED, AWAY, NONE = "in", "refused", "away", "none"


def knock(address: str) -> tuple[str, str]:
    """What comes of it: the cluster's ``host:port``, or why nobody answers, and one of the words above."""
    try:
        found = canonicalize_bootstrap_address(address) or ""  # this machine by the name that Ray will use
    except ConnectionError:
        return "", NONE
    told = address if address != "auto" else found
    host, _, port = found.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S).close()
    except OSError as error:
        return f"{told} ({'' if told == found else f'{found}: '}{error})", AWAY
    try:
        GcsClient(address=found).get_all_node_info(timeout=TIMEOUT_S)
    except AuthenticationError:
        return told, REFUSED
    except Exception as error:  # Ray raises many kinds
        return f"{told} ({str(error).splitlines()[0] if str(error) else type(error).__name__})", AWAY
    return told, IN


if __name__ == "__main__":
    print(json.dumps(knock(sys.argv[1])), flush=True)
    os._exit(0)
