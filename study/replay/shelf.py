"""The recorded tables that come with the package. Light: a shell completes their names."""

from __future__ import annotations

from pathlib import Path

SHELF = Path(__file__).parent / "tables"
ABOUT = "about.toml"


def shipped_tables() -> list[str]:
    """Their names."""
    return sorted(each.parent.name for each in SHELF.glob(f"*/{ABOUT}"))


def is_table(folder: Path) -> bool:
    """Whether a folder is a table."""
    return (folder / ABOUT).is_file()
