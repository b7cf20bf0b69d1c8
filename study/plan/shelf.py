"""The plans that come with the package: their names, and what each says of itself. Light: ``--help`` lists them."""

from __future__ import annotations

from importlib.resources import files

_SHELF = files("study.plan") / "shipped"


def shipped_plans() -> list[str]:
    """Names of the plans that come with the package, the quickest first."""
    names = sorted(entry.name.removesuffix(".toml") for entry in _SHELF.iterdir() if entry.name.endswith(".toml"))
    return sorted(names, key=lambda name: (name != "quickstart", "resnet" in name))


def text(name: str) -> str:
    """A shipped plan, as TOML."""
    return (_SHELF / f"{name}.toml").read_text(encoding="utf-8")


def told(name: str) -> str:
    """What a shipped plan is, in a line: its first."""
    return text(name).partition("\n")[0].removeprefix("# ").rstrip(".")
