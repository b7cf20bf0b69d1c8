"""Figures are the same whatever the user's matplotlib is set to, and leave those settings alone."""

from __future__ import annotations

import hashlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from cycler import cycler
from matplotlib.figure import Figure

from reports.figures import claims, runs, search, sweeps
from reports.figures.drawing import render
from reports.goals import ACCURACY
from reports.page import comparing
from reports.page.checking import verify_report
from reports.page.report import write_report
from tests.reports.conftest import make, save

USERS: dict[str, Any] = {
    "text.usetex": True,
    "lines.linewidth": 7,
    "axes.prop_cycle": cycler(color=["red", "blue"]),
    "axes.titlepad": 30,
    "font.family": "serif",
    "svg.fonttype": "none",
    "svg.id": "mine",
    "path.sketch": (1, 100, 2),  # plt.xkcd()
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "figure.constrained_layout.h_pad": 0.5,
    "axes.formatter.use_locale": True,
    "axes.unicode_minus": False,
    "axes.xmargin": 0.4,
    "grid.linestyle": ":",
    "agg.path.chunksize": 100,
    "xtick.direction": "in",
}
CURVES = pd.DataFrame(
    {
        "framework": "pytorch",
        "trial_id": "a",
        "train_s": [0.0, 1.0, 2.0],
        "validation_accuracy": [0.5, 0.9, 0.96],
    }
)
DRAW = """
import hashlib, study.driver.phases, matplotlib, pandas as pd
from reports.figures import runs
from reports.goals import ACCURACY
from reports.figures.drawing import render
from reports.goals import ACCURACY
figure = runs.metric_against_time(pd.DataFrame({curves!r}), goal=ACCURACY, target=0.95)
print(*(hashlib.md5(render(figure, form)).hexdigest() for form in ("svg", "png")))
"""


def draw() -> Figure:
    return runs.metric_against_time(CURVES, goal=ACCURACY, target=0.95)


@pytest.fixture(scope="module")
def right() -> dict[str, bytes]:
    return {form: render(draw(), form) for form in ("svg", "png")}


@pytest.mark.parametrize("name", USERS)
def test_a_setting_changes_no_figure_and_stays(name: str, right: dict[str, bytes]) -> None:
    form = "png" if name.startswith(("path", "agg", "savefig")) else "svg"
    with mpl.rc_context({name: USERS[name]}):
        before = mpl.rcParams[name]
        assert render(draw(), form) == right[form]
        assert mpl.rcParams[name] == before


def test_a_setting_between_making_a_figure_and_saving_it(right: dict[str, bytes]) -> None:
    figure = draw()
    with mpl.rc_context(USERS):
        assert render(figure, "svg") == right["svg"]


def test_no_setting_makes_an_honest_report_forged(tmp_path: Path) -> None:
    save(make(0.8, runs=3), tmp_path)
    write_report(tmp_path, tmp_path / "report")
    with mpl.rc_context(USERS):
        assert verify_report(tmp_path) == []


def test_every_figure_is_drawn_in_the_house_style() -> None:
    functions = [
        function
        for module in (claims, runs, search, sweeps, comparing)
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and function.__annotations__.get("return") == "Figure"
    ]
    assert len(functions) > 8
    assert [function.__name__ for function in functions if not hasattr(function, "__wrapped__")] == []


@pytest.mark.parametrize(
    ("where", "content", "backend"),
    [
        ("matplotlibrc", b"text.usetex: True", "module://nothing"),
        ("home/matplotlib/matplotlibrc", b"path.sketch: 1, 100, 2\nno such key: 1", "nonsense"),
        ("matplotlibrc", b"# caf\xe9 in Latin-1", "pdf"),
        ("other", b"\xff\xfe\x00lines.linewidth: 7", "nonsense"),
    ],
)
def test_no_file_and_no_backend_stops_a_study_or_changes_a_figure(
    tmp_path: Path, where: str, content: bytes, backend: str, right: dict[str, bytes]
) -> None:
    file = tmp_path / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    home = Path(__file__).parents[3]
    environment = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": str(home)}
    environment |= {"MATPLOTLIBRC": str(tmp_path / "other")} if where == "other" else {}
    environment |= {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    code = DRAW.format(curves=CURVES.to_dict("list"))
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == [hashlib.md5(right[form]).hexdigest() for form in ("svg", "png")]
