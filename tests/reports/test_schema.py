from __future__ import annotations

import re
from pathlib import Path

import pytest

from reports.schema import EVALUATIONS, TRIALS, Column

README = Path(__file__).parents[2] / "reports" / "README.md"


@pytest.mark.parametrize(("file", "columns"), [("trials.parquet", TRIALS), ("evaluations.parquet", EVALUATIONS)])
def test_the_documented_table_is_the_schema(file: str, columns: tuple[Column, ...]) -> None:
    section = README.read_text().split(f"### {file}")[1].split("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", section, flags=re.MULTILINE)
    assert rows == [(column.name, str(column.type), column.meaning) for column in columns]


def test_names_are_unique() -> None:
    for columns in (TRIALS, EVALUATIONS):
        assert len({column.name for column in columns}) == len(columns)
