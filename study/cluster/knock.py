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
    if address == "auto":
        try:
            address = canonicalize_bootstrap_address(address) or ""
        except ConnectionError:
            return "", NONE
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S).close()
    except OSError as error:
        return f"{address} ({error})", AWAY
    try:
        GcsClient(address=address).get_all_node_info(timeout=TIMEOUT_S)
    except AuthenticationError:
        return address, REFUSED
    except Exception as error:  # Ray raises many kinds
        return f"{address} ({str(error).splitlines()[0] if str(error) else type(error).__name__})", AWAY
    return address, IN


if __name__ == "__main__":
    print(json.dumps(knock(sys.argv[1])), flush=True)
    os._exit(0)
