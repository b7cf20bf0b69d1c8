"""Where the page of ``tuneoff compare`` goes: into a folder with its tables and figures, or into a file alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reports.page import checking, comparing
from study.store.chain import chain_differences
from study.store.folder import StudyFolder
from study.store.lock import is_running
from study.store.parquet import parquet_differences
from trainables.common.errors import UserError

_PAGE = (".html", ".htm")


def write_comparison(folders: Sequence[Path], into: Path, by: str = "") -> tuple[str, Path, str]:
    """Write a page over several studies.

    Parameters
    ----------
    into
        A folder; or a file, which gets the page alone and ends in ``.html``.
    by
        As `reports.page.comparing.write_comparison` has it.

    Returns
    -------
    The verdict over all of them, the page, and what there is to say of it.

    Raises
    ------
    UserError
        When it is a file of another kind, which would be lost.
    """
    if into.is_dir() or (into.suffix.lower() not in _PAGE and not into.exists()):
        return comparing.write_comparison(folders, into, by), into / "index.html", ""
    if into.suffix.lower() not in _PAGE:
        raise UserError(f"--out {into} is a file, and no page; give a folder, or a file that ends in .html")
    with tempfile.TemporaryDirectory(prefix="tuneoff-") as folder:
        said = comparing.write_comparison(folders, folder, by)
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder) / "index.html", into)
    return said, into, " (the page alone; --out FOLDER keeps its tables and figures, too)"


def comparison_differences(studies: Sequence[StudyFolder], into: Path, by: str = "") -> tuple[list[str], list[str]]:
    """Where a page over several studies says something else than their records, and what could not be compared.

    Parameters
    ----------
    into, by
        As `write_comparison` has them.

    Raises
    ------
    UserError
        When one of the studies is running.
    """
    for study in studies:
        if is_running(study):
            raise UserError(f"{study.path} is running, and its records change; verify the page when it is done")
    differences = [
        f"{study.path}: {each}"
        for study in studies
        for check in (chain_differences, parquet_differences)
        for each in check(study)
    ]
    differences += checking.verify_comparison([study.path for study in studies], into, by)
    return differences, checking.unchecked(into if into.is_file() else into / "index.html")


def is_comparison(folder: Path) -> bool:
    """Whether a folder holds a page and no study."""
    return (folder / "index.html").is_file() and not (folder / "plan.toml").exists() and folder.name != "report"
