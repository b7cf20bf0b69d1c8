"""Why a trial died, in a line, from the pages that Ray writes about it."""

from __future__ import annotations

import re

_ATTEMPT = re.compile(r"^Failure # \d+ \(occurred at .*$", re.MULTILINE)  # Tune keeps those before in the same file
LESS_MEMORY = "take smaller batches, fewer trials at once (--set slice.max_concurrent=1) or a machine with more memory"
_LONGEST = 500
_NODE_MEMORY = re.compile(r"was ([\d.]+ ?GB) used / ([\d.]+ ?GB) limit")
_OWN_MEMORY = re.compile(r"Selected to kill: .*?actual memory used=([\d.]+) ?GB")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_WHERE = re.compile(r"\bray::\S+ \(pid=")  # Ray's own headline of a traceback: which actor, not what it raised
_WRAPPED = re.compile(r"^RuntimeError: (?=[\w.]+: )")  # our trainable's own, around what a framework raised


def cause(text: str) -> str:
    """The cause of a trial's death.

    Parameters
    ----------
    text
        What Ray Tune has kept: a traceback, or Ray's own account of a process that is gone.
    """
    text = _ATTEMPT.split(_COLOUR.sub("", text))[-1]
    if "low on memory" in text or "OutOfMemoryError: Task was killed" in text:
        return _killed_by_ray(text)
    if "died unexpectedly" in text or "worker process has died" in text or "connection error code 2" in text:
        return (
            "its process is gone: killed, crashed, or ended by the kernel for want of memory (dmesg tells); "
            f"if it was that, {LESS_MEMORY}"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _WHERE.search(line)]
    told = [line for line in lines if line.startswith(("RuntimeError", "ray.exceptions", "The actor", "Exception"))]
    return _WRAPPED.sub("", (told or lines or ["the trial's process died"])[-1])[:_LONGEST]


def may_pass(cause: str) -> bool:
    """Whether a trial that died of this may live the next time: its process is gone, or there was no memory."""
    return LESS_MEMORY in cause or "memory" in cause.lower()


def _killed_by_ray(text: str) -> str:
    """Ray's memory monitor ends processes before the kernel would."""
    node, own = _NODE_MEMORY.search(text), [float(size) for size in _OWN_MEMORY.findall(text)]
    in_use = f": {node[1]} of {node[2]} were in use" if node else ""
    by_trial = f", {max(own):g} GB of them by the trial" if node and own else ""
    return f"killed for want of memory{in_use}{by_trial}; {LESS_MEMORY}"
