"""Where a study keeps its things."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from reports.names import study_name
from study.plan.files import COPIES, freeze, thaw
from study.plan.plan import Plan
from study.store.frozen import ORIGIN, digest_in, keep_copy
from trainables.common.errors import UserError
from trainables.workloads import workload as workloads
from trainables.workloads.workload import Workload

PLACE = "place"  # in provenance.json: the option that leads to the cluster on which the study ran last
_SHOWN = 10  # studies in a message


@dataclass(frozen=True)
class StudyFolder:
    """The paths inside a study's folder."""

    path: Path

    @property
    def name(self) -> str:
        """The study's name: its folder's, in letters that every file of a study can hold."""
        return study_name(self.path.name)

    def resume_command(self, where: str | None = None) -> str:
        """The command that goes on with the study, as a shell takes it.

        Parameters
        ----------
        where
            The option that says on which cluster, with a space before it; where the study ran last, if not given.
        """
        return f"tuneoff resume {shlex.quote(str(self.path))}{self._ran_with() if where is None else where}"

    def _ran_with(self) -> str:
        try:
            known = json.loads(self.provenance.read_bytes())
        except (OSError, ValueError):
            return ""
        return str(known.get(PLACE) or "") if isinstance(known, dict) else ""

    @property
    def plan(self) -> Path:
        """The frozen plan."""
        return self.path / "plan.toml"

    @property
    def lock(self) -> Path:
        """Held by the driver; see `study.store.lock`."""
        return self.path / "driver.lock"

    @property
    def owner(self) -> Path:
        """Who holds it, with a heartbeat."""
        return self.path / "driver.json"

    @property
    def provenance(self) -> Path:
        """Versions, hardware, checksums."""
        return self.path / "provenance.json"

    @property
    def certificate(self) -> Path:
        """Of ``tuneoff verify``, when there is one that fits."""
        return self.path / "certificate.json"

    @property
    def price(self) -> Path:
        """What an hour of hardware costs, where that was said."""
        return self.path / "price.json"

    @property
    def journal(self) -> Path:
        """Optuna's journal file: one Optuna study per framework."""
        return self.path / "optuna.journal"

    @property
    def log(self) -> Path:
        """Every record as a line of JSON, appended as it comes; the Parquet files are built from it."""
        return self.path / "records.jsonl"

    @property
    def evaluations(self) -> Path:
        """One row per evaluation."""
        return self.path / "evaluations.parquet"

    @property
    def trials(self) -> Path:
        """One row per trial."""
        return self.path / "trials.parquet"

    @property
    def tune(self) -> Path:
        """Ray Tune's experiment state, one folder per run of the driver."""
        return self.path / "tune"

    @property
    def data(self) -> Path:
        """The data set as its trials read it, from whatever node."""
        return self.path / "data"

    @property
    def copies(self) -> Path:
        """Its own copy of its workload lies there, under that's name; `study.store.frozen`."""
        return self.path / COPIES

    @property
    def weights(self) -> Path:
        """Initial parameters of trials that run."""
        return self.path / "weights"

    @property
    def begun(self) -> bool:
        """Whether a trial of it has ever started."""
        return self.log.exists() or any(self.checkpoints("").glob("*"))

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report"

    def checkpoints(self, trial_id: str) -> Path:
        """A trial's own checkpoints."""
        return self.tune / "checkpoints" / trial_id


def create(path: Path, plan: Plan, workload: Workload | None = None) -> StudyFolder:
    """Make a new study's folder with its frozen plan and its copy of the workload.

    Parameters
    ----------
    workload
        What the plan names, if that is none that comes with tuneoff.

    Raises
    ------
    UserError
        When the folder exists and is not empty, or cannot be written.
    """
    folder = StudyFolder(path.absolute())
    wanted = workloads.find(plan.workload) if workload is None else workload
    try:
        if folder.plan.exists():
            problem = "is a study already" if thaw(folder.plan) == plan else "belongs to another plan"
            if thaw(folder.plan) == plan and digest_in(folder.copies) not in ("", wanted.digest()):
                problem = f"is a study already, of {plan.workload} as it was before it was changed"
            raise UserError(f"{path} {problem}; `{folder.resume_command()}` continues it, --name starts another")
        if path.exists() and any(not _left_behind(entry) for entry in path.iterdir()):
            raise UserError(f"{path} exists and is not a study; choose another with --name or --out")
        path.mkdir(parents=True, exist_ok=True)
        keep_copy(wanted, folder.copies)
        freeze(plan, folder.plan)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); choose another folder with --out") from None
    return folder


def clear(folder: StudyFolder) -> None:
    """Remove what a launch left that ended before its first trial, and nothing that anybody else has put there."""
    for made in (folder.tune, folder.data, folder.weights, folder.copies):
        shutil.rmtree(made, ignore_errors=True)
    left = (folder.journal, folder.provenance, folder.certificate, folder.evaluations, folder.trials, folder.owner)
    for path in (*left, folder.price, *folder.path.glob("*Manifest.toml"), folder.plan, folder.lock):
        path.unlink(missing_ok=True)


def find(path: Path) -> StudyFolder:
    """The folder of an existing study.

    Raises
    ------
    UserError
        When there is no such folder, or studies lie in it; names those that may be meant.
    """
    if not path.is_dir():
        if path.exists():
            raise UserError(f"{path} is a file; give the study's folder{_around(path)}")
        todo = meant(path) or "`tuneoff launch` makes one, under results/ if not told otherwise"
        raise UserError(f"no folder {path}; {todo}")
    if not (path / "plan.toml").exists() and (around := _around(path)):
        raise UserError(f"{path} is not a study's folder; give the one that it lies in{around}")
    if not (path / "plan.toml").exists() and (inside := _studies_in(path)):
        raise UserError(f"{path} is not a study's folder; give one of those in it: {_few(inside)}")
    return StudyFolder(Path(os.path.abspath(path)))  # noqa: PTH100 - a study is never called `..`


def meant(path: Path) -> str:
    """Which study a folder that is not there may stand for: a name alone the one in results/, or the nearest."""
    default = path.parent / "results" / path.name
    if (default / "plan.toml").is_file():
        return f"did you mean {default}?"
    beside = [path.parent / name for name in get_close_matches(path.name, _studies_in(path.parent), n=1)]
    return f"did you mean {beside[0]}?" if beside else ""


def _around(path: Path) -> str:
    """The study that something lies in, for the end of a message."""
    return f": {path.parent}" if StudyFolder(path.parent).log.is_file() else ""


def _studies_in(folder: Path) -> list[str]:
    """Names of the studies that lie there."""
    try:
        return sorted(each.parent.name for each in folder.glob("*/plan.toml"))
    except OSError:  # a closed one tells none
        return []


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)


def _left_behind(path: Path) -> bool:
    """Whether it is what a killed launch leaves."""
    return _temporary(path) or (path.name == COPIES and (path / ORIGIN).exists())


def _temporary(path: Path) -> bool:
    """Whether it is what a killed writer leaves."""
    return path.name.startswith(".") and path.suffix == ".tmp"


def remove_leftovers(folder: StudyFolder) -> None:
    """Delete temporary files of writers that were killed; to be called with the study's lock held."""
    for where in (folder.path, *folder.checkpoints("").iterdir()):
        for left in where.glob(".*.tmp"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
