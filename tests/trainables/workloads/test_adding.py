"""trainables/ADDING.md says of workloads what the code says."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from trainables.frameworks import Framework
from trainables.workloads.toml import File

PAGE = (Path(__file__).parents[3] / "trainables" / "ADDING.md").read_text()
REQUIRED = "must be there"


def section(title: str) -> str:
    return re.split(rf"^#+ {re.escape(title)}$", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]


def test_the_table_of_keys_is_what_the_file_may_have() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", section("workload.toml"), flags=re.MULTILINE)
    assert [(key, meaning) for key, _, meaning in rows] == [
        (key, field.description) for key, field in File.model_fields.items()
    ]
    for key, default, _ in rows:
        assert (default == REQUIRED) == File.model_fields[key].is_required(), key
    assert {key: default for key, default, _ in rows}["holds"] == str(File.model_fields["holds"].default)


def test_the_table_of_an_entry_is_what_a_framework_has() -> None:
    rows = re.findall(r"^\| (`.*`) \| ", section("A framework"), flags=re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == _in_the_pages_order()


def _in_the_pages_order() -> list[str]:
    """The page tells first what everybody needs."""
    names = [each.name for each in fields(Framework)]
    names.insert(names.index("runtime"), names.pop(names.index("language")))
    names.insert(names.index("runtime"), names.pop(names.index("check")))
    return names


def test_every_file_that_it_names_is_there() -> None:
    root = Path(__file__).parents[3]
    named = section("A hyperparameter")
    for path in re.findall(r"`((?:trainables|search_spaces|study|reports|julia)/[\w/.]+)`", named):
        assert (root / path).is_file(), path
