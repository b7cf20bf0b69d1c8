"""Calls run down: each room may import itself and the rooms below it; a framework is known in its own folder alone."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from trainables.frameworks import FRAMEWORKS

ROOT = Path(__file__).parents[1]
PACKAGES = ("study", "trainables", "search_spaces", "reports")

# Floors of each package, the highest first; a room's own files may import one another. What lies on the top level of a
# package stands under the package's name.
FRAMEWORK_ROOMS = tuple({f"trainables/{each.home or each.name}": None for each in FRAMEWORKS.values()})
# One that is built on another says so in its entry.
BUILT_ON = {f"trainables/{each.home or each.name}": set(each.sources) for each in FRAMEWORKS.values()}
FLOORS: dict[str, list[tuple[str, ...]]] = {
    "study": [
        ("study/entry",),
        ("study/cli",),
        ("study/driver", "study/replay"),  # beside one another: neither imports the other
        ("study/cluster/recipes",),
        ("study/cluster",),
        ("study/store",),
        ("study/strategy",),
        ("study/plan",),
        ("study",),
    ],
    "trainables": [
        ("trainables/verify",),
        ("trainables",),
        FRAMEWORK_ROOMS,  # beside one another: none imports another
        ("trainables/workloads",),
        ("trainables/common",),
    ],
    "reports": [("reports/page",), ("reports/figures",), ("reports/tables",), ("reports",)],
    "search_spaces": [("search_spaces",)],
}
# From other packages; a package that is not named here imports none of ours but itself.
OTHERS = {
    "study": {"trainables", "search_spaces", "reports"},
    "reports": {"trainables.frameworks"},  # titles and colours, nothing else
}
# Of a package's top level, what any room of it may import: what everything is written against.
COMMON_GROUND = {"trainables": {"trainables.contract"}}
ENTRY = {"study/__main__.py": "study/cli"}  # stands on the top level since Python looks for it there
MODULES_KNOWN_BY_FEW = {
    "ray": {"study", "trainables/tune_trainable.py"},
    "optuna": {"study", "search_spaces", "reports/tables/importance.py"},
    "pandas": {"reports"},
    "pynvml": {"trainables/common/gpu.py"},
    "matplotlib": {"reports/figures", "reports/page"},
    **{
        module: {f"trainables/{each.home or each.name}" for each in FRAMEWORKS.values() if module in each.imports}
        for module in {module for each in FRAMEWORKS.values() if each.real for module in each.imports}
    },
}
MODULES_KNOWN_BY_FEW["torchvision"] |= {"trainables/workloads/download.py"}


# Written as a user writes them, and run as a user's: folders of workloads.
WRITTEN_FOR_USERS = ("trainables/workloads/shipped", "trainables/workloads/template")


def sources() -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if not path.relative_to(ROOT).as_posix().startswith(WRITTEN_FOR_USERS)]


def imported(path: Path) -> set[str]:
    """Dotted names of everything imported anywhere in a file; of our own packages, the modules."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            inside = {f"{module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if _file(name) is not None}
            names |= modules or {module}
    return names


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()), None)


def room(path: Path) -> str:
    relative = str(path.relative_to(ROOT))
    return ENTRY.get(relative, "/".join(Path(relative).parts[:-1]))


def floor(package: str, name: str) -> int:
    return next(height for height, rooms in enumerate(FLOORS[package]) if name in rooms)


def complaints(path: Path) -> list[str]:
    """What a file imports and must not."""
    package, mine = path.relative_to(ROOT).parts[0], room(path)
    found = []
    for name in imported(path):
        top = name.partition(".")[0]
        if top == package:
            target = _file(name)
            assert target is not None, f"{path} imports {name}, which is no module"
            theirs = room(target)
            down = floor(package, mine) < floor(package, theirs) or theirs in BUILT_ON.get(mine, ())
            if mine != theirs and not down and name not in COMMON_GROUND.get(package, set()):
                found.append(f"{name}: {theirs} does not lie below {mine}")
        elif top in PACKAGES and not any(
            name == other or name.startswith(f"{other}.") for other in OTHERS.get(package, ())
        ):
            found.append(f"{name}: {package} does not know it")
        elif top in MODULES_KNOWN_BY_FEW:
            relative = str(path.relative_to(ROOT))
            if not any(relative == few or relative.startswith(f"{few}/") for few in MODULES_KNOWN_BY_FEW[top]):
                found.append(f"{name}: known only in {', '.join(sorted(MODULES_KNOWN_BY_FEW[top]))}")
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_down(path: Path) -> None:
    assert complaints(path) == []


def test_every_folder_says_what_lives_there_and_what_never_does() -> None:
    for package in PACKAGES:
        for folder in {path.parent for path in sources() if path.is_relative_to(ROOT / package)}:
            said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
            assert "never" in said.lower(), folder


@pytest.mark.parametrize(
    ("where", "code", "complaint"),
    [
        ("study/store/x.py", "from study.driver.phases import search", "does not lie below"),
        ("study/store/x.py", "from study.cluster import nodes", "does not lie below"),
        ("reports/tables/x.py", "import reports.figures.drawing", "does not lie below"),
        ("trainables/flux/x.py", "from trainables.pytorch.backend import start", "does not lie below"),
        ("trainables/pytorch/x.py", "import trainables.training", "does not lie below"),
        ("reports/x.py", "from trainables.training import Training", "does not know it"),
        ("trainables/x.py", "def f():\n    import torch.nn", "known only in"),
        ("study/cli/x.py", "def f():\n    import juliacall", "known only in"),
        ("search_spaces/x.py", "from ray.tune import Tuner", "known only in"),
    ],
)
def test_the_check_can_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, code: str, complaint: str
) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    monkeypatch.setattr("tests.test_layering.ROOT", tmp_path)
    (tmp_path / where).write_text(code)
    assert [found for found in complaints(tmp_path / where) if complaint in found]


@pytest.mark.parametrize(
    "module",
    ["study.cli.commands", "study.driver.phases", "study.cli.doctor", "trainables.training", "reports.page.report"],
)
def test_no_framework_is_loaded_by_importing(module: str) -> None:
    names = {name for each in FRAMEWORKS.values() if each.real for name in each.imports}
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {names!r}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_reports_load_neither_ray_nor_optuna() -> None:
    code = "import sys, reports.page.report; print(sorted(set(sys.modules) & {'ray', 'optuna'}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_ray_is_not_loaded_before_its_environment_is_set() -> None:
    """It reads the environment when it is imported: on which interfaces to listen, and whose hooks to run."""
    code = (
        "import sys\n"
        "from study.cli import commands, groups, readiness, running\n"
        "from study.cluster import address, admission, environment\n"
        "groups.Running(exclude_node=['a']).choice\n"
        "seen = []\n"
        "environment.prepare = lambda **_: seen.append('ray' in sys.modules) or sys.exit(0)\n"
        "sys.argv[1:] = ['launch', 'quickstart', '--frameworks', 'simulated', '--out', sys.argv[1]]\n"
        "try:\n    commands.main()\n"
        "finally:\n    print(seen)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        answer = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert answer.stdout.splitlines()[-1:] == ["[False]"], answer.stdout + answer.stderr
