from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

import reports
from tests.reports.conftest import make, save


class LocalKernel(AsyncKernelManager):
    """Talks through files of this user, not through the network."""

    transport = "ipc"


NOTEBOOK = Path(reports.__file__).parent / "notebook.ipynb"


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(make(0.8), tmp_path)
    monkeypatch.setenv("TUNEOFF_STUDY", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))  # no other kernel of this user's
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", kernel_manager_class=LocalKernel).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    said = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "Warm: Flux is " in said
    pictures = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
    assert sys.version_info[:2] == tuple(map(int, notebook.metadata.language_info.version.split(".")[:2]))


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
