"""How help pages look: a command as it is typed, a sentence for each option, examples; nothing is cut at 80 columns."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from typer.core import TyperCommand, TyperGroup

_IN_WORDS = re.compile(r"\[default: \((.*?)\)")  # as typer writes a default that is no value

_AT_LEAST = re.compile(r"x>=(\d+)(?=\])")  # as typer writes a bound
_TYPED = re.compile(r"`[^`\n]+`")
_GLUE = "\ue000"  # stands for a space at which no line may break

SETTINGS = {"help_option_names": ["-h", "--help"]}


def examples(*lines: str) -> str:
    """The end of a help page: commands to try."""
    return "\n".join(["Examples:", *(f"  {line}" for line in lines)])


def glossary() -> str:
    """What the words of a study mean, for the end of a help page."""
    words = {
        "trial": "one training of the search, at one configuration",
        "reached": "it met the target accuracy before its limits",
        "race": "the best of the search again, to tell the good from the lucky",
        "confirmed": "the winner again, with fresh seeds: what the report rests on",
        "warm, cold": "seconds of training alone; from the start of the process",
        "slice": "the CPUs and GPUs of one trial; slice-s: seconds it had them",
    }
    return "\n".join(["Words:", *(f"  {word:<10}  {meaning}" for word, meaning in words.items())])


class Command(TyperCommand):
    """A command whose page shows arguments as they are typed, and its epilog as it is."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(each.metavar or each.name for each in self.params if each.param_type_name == "argument")]

    def get_help(self, ctx: Any) -> str:
        return _unglued(super().get_help(ctx))

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        written = self.help
        self.help = _glued(written or "")
        super().format_help_text(ctx, formatter)
        self.help = written

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments, options = _records(self, ctx)
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self.epilog, formatter)


class Group(TyperGroup):
    """Commands by what they are for, each with a whole sentence, before the options."""

    def get_help(self, ctx: Any) -> str:
        return _unglued(super().get_help(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = defaultdict(list)
        width = max(map(len, self.commands))
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None)
            title = panel if isinstance(panel, str) else "Commands"
            sections[title].append((name.ljust(width), command.get_short_help_str(limit=1000)))
        for title, rows in (*sections.items(), ("Options", _records(self, ctx)[1])):
            with formatter.section(title):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self.epilog, formatter)


def _records(command: Any, ctx: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What a page says of arguments and of options; that an argument is required the usage says."""
    arguments, options = [], []
    for each in command.get_params(ctx):
        if (record := each.get_help_record(ctx)) is None:
            continue
        said = _glued(_AT_LEAST.sub(r"\1 or more", _IN_WORDS.sub(r"[default: \1", record[1])))
        if each.param_type_name == "argument":
            arguments.append((each.metavar, said.replace("  [required]", "")))
        else:
            options.append((record[0], said))
    return arguments, options


def _glued(text: str) -> str:
    """The text, each command in it on one line: one that is broken cannot be copied."""
    return _TYPED.sub(lambda found: found[0].replace(" ", _GLUE), text)


def _unglued(page: str) -> str:
    return page.replace(_GLUE, " ")


def _write_epilog(epilog: str | None, formatter: Any) -> None:
    if epilog:
        formatter.write(f"\n{epilog}\n")
