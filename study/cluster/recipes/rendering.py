"""Templates filled with values that cannot break out of their place."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

_TEMPLATES = files("study.cluster.recipes") / "templates"


def render(template: str, **values: object) -> str:
    """A template's text; what it needs and does not get is an error."""
    environment = Environment(
        autoescape=False,  # neither shell nor YAML; the filters quote
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        comment_start_string="{%#",  # {# is the shell's, too
        comment_end_string="#%}",
        loader=FunctionLoader(lambda name: (_TEMPLATES / name).read_text(encoding="utf-8")),
    )
    environment.filters.update(shell=shell, words=words, yaml=yaml, yaml_lines=yaml_lines)
    return environment.get_template(template).render(**values)


def shell(value: object) -> str:
    """One word for a shell."""
    return shlex.quote(str(value))


def words(values: Iterable[object]) -> str:
    """Several."""
    return shlex.join(str(value) for value in values)


def yaml(value: object) -> str:
    """A string for YAML, whose double-quoted strings are those of JSON."""
    return json.dumps(str(value), ensure_ascii=False)


def yaml_lines(text: str, indent: int) -> str:
    """A text for YAML, as the lines that it has where a block of them can hold them."""
    lines = text.split("\n")
    legible = all(line.isprintable() for line in lines) and lines[0][:1].strip() and lines[-1] == "" != lines[-2]
    return "|\n" + "\n".join(" " * indent + line if line else "" for line in lines[:-1]) if legible else yaml(text)
