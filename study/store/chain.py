"""The log as a chain: whether a line was taken out, put in or changed, and whether the files built from it know it.

A chain that was made anew from some line on agrees with itself. So its last hash stands in both Parquet files and on
the report's page: whoever has one of these, or wrote the hash down, sees that another chain is another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from reports.records import chain_head
from study.store.folder import StudyFolder
from study.store.log import CHAIN, START, format_line, line_hash, parse_line

_DAMAGE = "damage"


def damage_line(kept: Sequence[bytes], aside: str) -> bytes:
    """The line that owns up to lines that damage took away.

    Parameters
    ----------
    kept
        The lines that are left.
    aside
        Name of the damaged file.
    """
    broken = [found for _, found in _breaks(kept) if found]
    row = {"broken": broken, "aside": aside}
    return format_line(_DAMAGE, row, line_hash(kept[-1]) if kept else START)


def chain_differences(folder: StudyFolder) -> list[str]:
    """Where the log is not one chain, and where a Parquet file was built from another.

    A line of an older version has no hash of the one before; the first that has one counts for all before it. Damage
    that was mended is told where the damaged file is not there to compare.

    Returns
    -------
    One line for each.
    """
    heads = {path.name: chain_head(path) for path in (folder.trials, folder.evaluations)}
    name = folder.log.name
    if not folder.log.exists():
        return [
            f"{name} is missing, but {each} was built from it"
            for each, head in heads.items()
            if head not in ("", START)
        ]
    lines = [line for line in folder.log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    damages = [row for line in lines if (row := parse_line(line)) is not None and row["kind"] == _DAMAGE]
    owned = {broken for row in damages for broken in row["broken"]}
    found = [f"{name}, line {number} is damaged" for number, line in enumerate(lines, 1) if parse_line(line) is None]
    found += [
        f"{name}, line {number} does not follow the line before it: lines were taken out, put in or changed there"
        for number, broken in _breaks(lines)
        if broken not in owned
    ]
    found += [
        f"{name} lost lines to damage, and {aside}, which has them, is not beside it"
        for aside in dict.fromkeys(row["aside"] for row in damages)
        if not (folder.path / Path(aside).name).exists()
    ]
    known, chained = {START, *map(line_hash, lines)}, any(_follows(line) for line in lines)
    for each, head in heads.items():
        if head and head not in known:
            found.append(f"{each} was built from other lines: the last had the hash {head}, which {name} does not have")
        elif not head and chained and (folder.path / each).exists():
            found.append(f"{each} does not say which lines of {name} it was built from")
    return found


def _follows(line: bytes) -> str:
    """The hash that a line has of the one before it; empty where it has none."""
    row = parse_line(line)
    return str(row.get(CHAIN, "")) if row is not None else ""


def _breaks(lines: Sequence[bytes]) -> Iterator[tuple[int, str]]:
    """Lines, counted from 1, that do not follow the one before them, with the hash that they follow."""
    before, chained = START, False
    for number, line in enumerate(lines, start=1):
        follows = _follows(line)
        if (follows or chained) and follows != before and parse_line(line) is not None:
            yield number, follows
        chained = chained or bool(follows)
        before = line_hash(line)
