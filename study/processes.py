"""Descendants of this process, and the end of them."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def living_children() -> list[psutil.Process]:
    """All descendants of this process."""
    return psutil.Process().children(recursive=True)


def end_processes(processes: Iterable[psutil.Process]) -> None:
    """Kill what is still there of these."""
    for process in processes:
        try:
            process.kill()
        except psutil.Error:  # gone by itself
            continue
