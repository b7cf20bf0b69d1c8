from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import reports
from reports.errors import ReportError
from reports.schema import TRIALS
from tests.reports.conftest import make, save


def test_columns_of_a_newer_version_are_there_and_empty(tmp_path: Path) -> None:
    save(make(0.8), tmp_path)
    older = pd.read_parquet(tmp_path / "trials.parquet").drop(columns=["lost_s", "began_at", "error"])
    older.to_parquet(tmp_path / "trials.parquet")
    trials = reports.load(tmp_path).trials
    assert list(trials.columns) == [column.name for column in TRIALS]
    assert trials[["lost_s", "began_at", "error"]].isna().all(axis=None)
    assert trials["batch_size"].dtype == "int64"
    assert trials["reached"].dtype == bool


@pytest.mark.parametrize("file", ["trials.parquet", "evaluations.parquet", "provenance.json", "plan.toml"])
def test_a_damaged_file_is_named_in_one_line(file: str, tmp_path: Path) -> None:
    save(make(0.8), tmp_path)
    (tmp_path / file).write_bytes(b"PAR1 torn in the middle \xff")
    with pytest.raises(ReportError) as caught:
        reports.load(tmp_path)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["trials.parquet", "evaluations.parquet"])
def test_a_missing_table_is_named(file: str, tmp_path: Path) -> None:
    save(make(0.8), tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(ReportError, match=f"{file} is missing"):
        reports.load(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no folder"):
        reports.load(tmp_path / "nowhere")


def test_importing_every_module_loads_no_framework_and_no_tuner() -> None:
    root = Path(reports.__file__).parent
    found = sorted(path.relative_to(root).with_suffix("") for path in root.rglob("*.py") if path.stem != "__init__")
    code = f"import sys, {', '.join('.'.join(('reports', *path.parts)) for path in found)}\n"
    code += "print(sorted(set(sys.modules) & {'ray', 'optuna', 'torch', 'juliacall', 'lifelines'}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
