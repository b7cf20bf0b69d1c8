"""Whole studies on a real local Ray, and what is left of them after something dies.

The driver is a process of its own, as for a user. Most studies use the simulated framework, slowed down where a test
has to act while it runs; the house around it is the same.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from reports.schema import EVALUATIONS, TRIALS
from study.plan.files import thaw
from study.store.folder import StudyFolder
from study.store.journal import open_searches, open_storage

TIMEOUT_S = 120.0
# A trial takes about five seconds, forty evaluations long: there is time to act in its midst.
SLOW = {"TUNEOFF_SIMULATED_SPEED": "4"}
LONG = ("training.target=0.9999", "training.epochs=20")


def tuneoff(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "study", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that nothing sent to it reaches pytest
    )


def finish(process: subprocess.Popen[str], expected: int = 0) -> str:
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == expected, f"exit code {process.returncode}\n{out}\n{err}"
    assert "Traceback" not in err
    return out + err


def simulated(trials: int, *more: str) -> list[str]:
    settings = [f"search.trials={trials}", "race.configurations=0", "confirm.runs=0", "search.sampler=random", *more]
    changes = [part for setting in settings for part in ("--set", setting)]
    return ["launch", "quickstart", "--name", "s", "--frameworks", "simulated", *changes]


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.05)


def evaluations(folder: Path) -> int:
    log = folder / "records.jsonl"
    return log.read_text().count('"evaluation"') if log.exists() else 0


def trainables_of(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(driver.pid).children(recursive=True):
        try:
            if "Trainable" in " ".join(child.cmdline()):  # the title that Ray gives the process of a trial
                found.append(child)
        except psutil.Error:  # gone meanwhile
            continue
    return found


def check_whole(folder: Path, trials: int) -> pd.DataFrame:
    """Every trial once, in Optuna and in the records, and every evaluation once."""
    table = pd.read_parquet(folder / "trials.parquet")
    searched = table[table["phase"] == "search"]
    assert len(searched) == trials
    assert searched["trial_id"].is_unique
    points = pd.read_parquet(folder / "evaluations.parquet")
    assert not points.duplicated(["trial_id", "evaluation"]).any()
    counts = points.groupby("trial_id").size()
    alive = searched[searched["outcome"] != "failed"]
    assert counts[alive["trial_id"]].tolist() == alive["evaluations"].tolist()
    plan, study = thaw(folder / "plan.toml"), StudyFolder(folder)
    search = open_searches(plan, open_storage(study, say=print), concurrent=False)[plan.frameworks[0]]
    assert len(search.finished()) == trials == len(search.trials())
    return table


def test_a_tmpdir_too_long_for_sockets(tmp_path: Path) -> None:
    """Batch systems make such ones. Ray's sockets go elsewhere, which is said, and nothing is left of it."""
    folder = tmp_path / ("x" * 94)
    folder.mkdir()
    said = finish(tuneoff(*simulated(1), cwd=tmp_path, env={"TMPDIR": str(folder), "RAY_TMPDIR": str(folder)}))
    assert f"RAY_TMPDIR ({folder}) is {len(str(folder))} bytes long" in said
    kept = {each.relative_to(folder).parts[:2] for each in folder.rglob("*") if each.is_file()}
    assert kept <= {(f"tuneoff-{os.getuid()}", "checked")}  # the mark of a data set that this machine has read
    check_whole(tmp_path / "results" / "s", 1)


def test_a_real_study_from_launch_to_report(tmp_path: Path) -> None:
    """PyTorch on real digits: search, confirmation, report, and nothing to do afterwards."""
    settings = ["search.trials=3", "race.configurations=2", "race.runs=1", "confirm.runs=2", "training.target=0.8",
                "search.initial_points=[{learning_rate=0.05,batch_size=32,num_workers=1}]"]  # fmt: skip
    changes = [part for setting in settings for part in ("--set", setting)]
    said = finish(tuneoff("launch", "quickstart", "--frameworks", "pytorch", *changes, cwd=tmp_path))
    folder = tmp_path / "results" / "quickstart"
    assert "PyTorch reaches 80 % validation accuracy on digits-lenet in" in said
    assert "2 of 2 runs reached it" in said
    table = check_whole(folder, 3)
    confirmed = table[table["phase"] == "confirm"]
    assert len(confirmed) == 2
    assert confirmed["fresh_process"].all()
    assert confirmed["pid"].is_unique
    assert confirmed["test_accuracy"].between(0.5, 1).all()
    assert table.loc[table["phase"] == "search", "test_accuracy"].isna().all()
    assert set(confirmed["seed"]).isdisjoint(table.loc[table["phase"] == "search", "seed"])
    assert (confirmed["cold_tta_s"] > confirmed["warm_tta_s"]).all()
    assert table["loader_workers"].tolist() == table["num_workers"].tolist()
    assert (table["train_wall_s"] >= table["train_s"]).all()
    assert (table["train_cpu_s"] > 0).all()
    assert table[["load_start", "load_end", "host_cpus"]].notna().all(axis=None)
    assert list(table.columns) == [column.name for column in TRIALS]
    assert list(pd.read_parquet(folder / "evaluations.parquet").columns) == [column.name for column in EVALUATIONS]
    assert "PyTorch reaches" in (folder / "report" / "index.html").read_text()
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["versions"]["torch"]
    assert 0 < provenance["cpus"] <= provenance["cpus_present"]
    assert 0 < provenance["cpu_share"] <= 1
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert "finished: nothing to run" in finish(tuneoff("resume", str(folder), cwd=tmp_path))
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.long
def test_frameworks_are_dealt_in_blocks_that_keep_their_process(tmp_path: Path) -> None:
    arguments = simulated(7, "slice.max_concurrent=1", "training.target=0.5")
    arguments[arguments.index("simulated")] = "pytorch,simulated"
    finish(tuneoff(*arguments, cwd=tmp_path))
    table = pd.read_parquet(tmp_path / "results" / "s" / "trials.parquet").sort_values("ended_at")
    # five ahead at most; then the other, which ends before the process is given up again
    assert table["framework"].tolist() == ["pytorch"] * 5 + ["simulated"] * 7 + ["pytorch"] * 2
    assert table.groupby("pid")["framework"].nunique().eq(1).all()
    assert table["pid"].nunique() == 3
    assert table["fresh_process"].sum() == 3
    assert table.groupby("framework")["seed"].agg(list).map(tuple).nunique() == 1


@pytest.mark.long
def test_killed_driver(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "s"
    driver = tuneoff(*simulated(4, *LONG), cwd=tmp_path, env=SLOW)
    wait_for(lambda: evaluations(folder) >= 4, "evaluations")
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.communicate()
    finish(tuneoff("resume", str(folder), cwd=tmp_path))
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []  # Ray's agents outlive a killed driver for minutes, if nobody ends them
    table = check_whole(folder, 4)
    assert table["segments"].max() == 2  # some trial was continued, not begun again
    assert table.loc[table["segments"] == 1, "lost_s"].eq(0).all()
    assert (table["wall_s"] + table["lost_s"] <= table["slice_s"] + 1e-6).all()
    assert len(list((folder / "tune").glob("run-*"))) == 2


@pytest.mark.long
def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "s"
    driver = tuneoff(*simulated(4, *LONG), cwd=tmp_path, env=SLOW)
    wait_for(lambda: evaluations(folder) >= 2, "evaluations")
    driver.send_signal(signal.SIGINT)
    time.sleep(0.1)
    driver.send_signal(signal.SIGINT)
    assert f"tuneoff resume {folder}" in finish(driver, expected=130)
    finish(tuneoff("resume", str(folder), cwd=tmp_path))
    check_whole(folder, 4)


@pytest.mark.long
@pytest.mark.parametrize("service", ["raylet", "gcs_server"])
def test_a_cluster_that_dies_ends_the_driver_with_a_line(tmp_path: Path, service: str) -> None:
    folder = tmp_path / "results" / "s"
    driver = tuneoff(*simulated(3, *LONG), cwd=tmp_path, env=SLOW)
    wait_for(lambda: evaluations(folder) >= 2, "evaluations")
    family = psutil.Process(driver.pid).children(recursive=True)
    for process in family:
        if process.name() == service:
            process.kill()
    said = finish(driver, expected=1)
    assert f"the Ray cluster died; the study is safe, `tuneoff resume {folder}` goes on" in said
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []  # no trial lives on beside the one that continues it
    finish(tuneoff("resume", str(folder), cwd=tmp_path))
    check_whole(folder, 3)


@pytest.mark.long
def test_more_trials_for_a_finished_study(tmp_path: Path) -> None:
    arguments = simulated(2)
    arguments[arguments.index("confirm.runs=0")] = "confirm.runs=2"
    folder = tmp_path / "results" / "s"
    finish(tuneoff(*arguments, cwd=tmp_path))
    said = finish(tuneoff("resume", str(folder), "--set", "training.target=0.9", cwd=tmp_path), expected=2)
    assert "training.target = 0.94 (now 0.9)" in said
    finish(tuneoff("resume", str(folder), "--set", "search.trials=6", cwd=tmp_path))
    table = check_whole(folder, 6)
    best = table[(table["phase"] == "search") & table["reached"]].sort_values("objective").iloc[0]
    confirming = table[(table["phase"] == "confirm") & (table["confirms"] == best["number"])]
    assert confirming["number"].tolist() == [0, 1]
    assert confirming["learning_rate"].eq(best["learning_rate"]).all()
    assert thaw(folder / "plan.toml").search.trials == 6


@pytest.mark.long
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_the_study_safe(tmp_path: Path, signum: int, code: int) -> None:
    folder = tmp_path / "results" / "s"
    driver = tuneoff(*simulated(4, *LONG), cwd=tmp_path, env=SLOW)
    wait_for(lambda: evaluations(folder) >= 2, "evaluations")
    driver.send_signal(signum)
    said = finish(driver, expected=code)
    assert f"tuneoff resume {folder}" in said
    finish(tuneoff("resume", str(folder), cwd=tmp_path))
    check_whole(folder, 4)


def test_a_trial_that_dies_is_retried_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "s"
    driver = tuneoff(*simulated(2, "slice.max_concurrent=1", *LONG), cwd=tmp_path, env=SLOW)
    wait_for(lambda: evaluations(folder) >= 2, "evaluations")
    for trainable in trainables_of(driver):
        trainable.kill()
    finish(driver)
    table = check_whole(folder, 2)
    assert table["failures"].tolist() == [1, 0]
    assert table["segments"].tolist() == [2, 1]
    assert table["outcome"].ne("failed").all()


@pytest.mark.long
def test_a_trial_that_dies_too_often_is_recorded_and_the_study_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "s"
    driver = tuneoff(*simulated(2, "slice.max_concurrent=1", "search.max_failures=0", *LONG), cwd=tmp_path, env=SLOW)
    wait_for(lambda: evaluations(folder) >= 2, "evaluations")
    for trainable in trainables_of(driver):
        trainable.kill()
    finish(driver)
    table = check_whole(folder, 2)
    assert sorted(table["outcome"].eq("failed")) == [False, True]
    failed = table[table["outcome"] == "failed"].iloc[0]
    assert failed["error"]
    assert failed["slice_s"] > 0


@pytest.mark.long
def test_trials_that_all_failed_run_again_when_that_is_asked_for(tmp_path: Path) -> None:
    """And go on after a kill in the midst of it; nothing is asked of, or left in, the home folder meanwhile."""
    folder, home = tmp_path / "results" / "s", {"HOME": "/proc/nowhere"}
    arguments = simulated(3, "slice.max_concurrent=1", "search.max_failures=0", *LONG)
    broken = {"TUNEOFF_SIMULATED_SPEED": "nonsense"}
    said = finish(tuneoff(*arguments, cwd=tmp_path, env={**broken, **home}), expected=1)
    assert "Simulated: no usable result, all 3 trials failed with: ValueError: could not convert" in said
    assert f"`tuneoff resume {folder} --retry-failed` runs them again" in said
    failed = check_whole(folder, 3)
    assert failed["outcome"].eq("failed").all()
    assert (folder / "report" / "index.html").exists()
    driver = tuneoff("resume", str(folder), "--retry-failed", cwd=tmp_path, env={**SLOW, **home})
    wait_for(lambda: evaluations(folder) >= 2, "evaluations")
    driver.kill()
    driver.communicate()
    assert "failed trials that run again" not in finish(tuneoff("resume", str(folder), cwd=tmp_path, env=home))
    table = check_whole(folder, 3)
    assert table["outcome"].ne("failed").all()
    assert sorted(table["trial_id"]) == sorted(failed["trial_id"])
    both = table.set_index("trial_id").join(failed.set_index("trial_id"), rsuffix="_before")
    assert (both["learning_rate"] == both["learning_rate_before"]).all()
    assert (both["seed"] == both["seed_before"]).all()
    assert (both["lost_s"] >= both["slice_s_before"] - 1e-6).all()  # what failed stays charged
    assert "Every number" in finish(tuneoff("report", str(folder), "--verify", cwd=tmp_path))


def test_a_driver_that_lives_is_alone_and_out_of_reach_and_sigterm_leaves_its_study_safe(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "s"
    driver = tuneoff(*simulated(2, *LONG), cwd=tmp_path, env={"TUNEOFF_SIMULATED_SPEED": "64"})
    wait_for(lambda: evaluations(folder) >= 2, "evaluations")
    family = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
    listening = [address for process in family for address in _listening(process)]
    said = finish(tuneoff("resume", str(folder), cwd=tmp_path), expected=2)
    assert f"is being run by process {driver.pid}" in said
    state = json.loads(finish(tuneoff("status", str(folder), "--json", cwd=tmp_path)))
    assert state["running"]
    driver.send_signal(signal.SIGTERM)
    assert f"tuneoff resume {folder}" in finish(driver, expected=143)
    assert listening
    assert {address.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    finish(tuneoff("resume", str(folder), cwd=tmp_path))
    check_whole(folder, 2)


def _listening(process: psutil.Process) -> list[str]:
    """Addresses at which a process takes calls."""
    try:
        found = process.net_connections(kind="inet")
    except psutil.Error:  # gone meanwhile
        return []
    return [each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN]


@pytest.mark.long
def test_divergence_is_censored_and_the_study_goes_on(tmp_path: Path) -> None:
    wild = "space.all.learning_rate={low=1.5,high=3.0,log=true}"
    said = finish(tuneoff(*simulated(3, wild), cwd=tmp_path))
    assert "Simulated never reached 94 % validation accuracy on digits-lenet in 3 trials." in said
    table = check_whole(tmp_path / "results" / "s", 3)
    assert table["outcome"].eq("diverged").all()
    assert table["objective"].gt(table["limit_s"]).all()


def test_a_better_cap_reaches_a_trial_that_runs(tmp_path: Path) -> None:
    """Two begin at once, before anything has reached the target: when the good one has, the other is stopped."""
    good, poor = (
        "{learning_rate=0.1,batch_size=32,num_workers=0}",
        "{learning_rate=0.001,batch_size=16,num_workers=0}",
    )
    first = ["search.default_first=false", f"search.initial_points=[{poor},{good}]"]
    settings = [*first, "slice.max_concurrent=2", "search.cap_lag=0"]
    wide = "space.all.learning_rate={low=1e-4,high=0.3,log=true}"
    finish(tuneoff(*simulated(2, wide, *settings), cwd=tmp_path, env={"TUNEOFF_SIMULATED_SPEED": "16"}))
    folder = tmp_path / "results" / "s"
    table = check_whole(folder, 2).sort_values("learning_rate")
    assert table["outcome"].tolist() == ["capped", "reached"]
    stopped, hit = table.iloc[0], table.iloc[1]
    assert stopped["cap_s"] == pytest.approx(1.25 * hit["objective"])
    assert stopped["train_s"] > stopped["cap_s"]
    assert stopped["objective"] > stopped["limit_s"]
    assert not list((folder / "tune" / "checkpoints").rglob("model-*"))
    assert "Every number" in finish(tuneoff("report", str(folder), "--verify", cwd=tmp_path))
    assert "1 reached, 1 capped" in finish(tuneoff("status", str(folder), cwd=tmp_path))


def test_asha_stops_what_lags_behind(tmp_path: Path) -> None:
    wide = "space.all.learning_rate={low=1e-6,high=0.3,log=true}"
    asha = ["search.scheduler=asha", "search.grace_evaluations=1", "training.target=0.999", "training.epochs=8"]
    finish(tuneoff(*simulated(8, wide, "slice.max_concurrent=1", *asha), cwd=tmp_path))
    table = check_whole(tmp_path / "results" / "s", 8)
    stopped = table[table["outcome"] == "stopped"]
    assert len(stopped) > 0
    assert stopped["samples"].max() < 8 * 1079
    assert not list((tmp_path / "results" / "s" / "tune" / "checkpoints").rglob("model-*"))


@pytest.mark.long
def test_a_cold_objective_gets_a_fresh_process_for_every_trial(tmp_path: Path) -> None:
    finish(tuneoff(*simulated(3, "search.objective=cold"), cwd=tmp_path))
    table = check_whole(tmp_path / "results" / "s", 3)
    assert table["pid"].is_unique
    assert table["fresh_process"].all()
    hits = table[table["reached"]]
    assert len(hits) > 0
    assert hits["objective"].tolist() == hits["cold_tta_s"].tolist()


@pytest.mark.long
def test_resume_confirms_what_is_left(tmp_path: Path) -> None:
    arguments = simulated(2)
    arguments[arguments.index("confirm.runs=0")] = "confirm.runs=3"
    folder = tmp_path / "results" / "s"
    driver = tuneoff(*arguments, cwd=tmp_path, env={"TUNEOFF_SIMULATED_SPEED": "4"})

    def confirming() -> bool:
        log = folder / "records.jsonl"
        return log.exists() and log.read_text().count('"kind": "trial", "study": "s", "phase": "confirm"') == 1

    wait_for(confirming, "the second confirmation run")
    driver.kill()
    driver.communicate()
    finish(tuneoff("confirm", str(folder), cwd=tmp_path))
    table = check_whole(folder, 2)
    confirmed = table[table["phase"] == "confirm"]
    assert confirmed["number"].tolist() == [0, 1, 2]
    assert confirmed["seed"].is_unique
    assert len(confirmed[["learning_rate", "batch_size", "num_workers"]].drop_duplicates()) == 1


@pytest.mark.long
def test_a_study_on_a_running_cluster(tmp_path: Path) -> None:
    port = str(30_000 + os.getpid() % 20_000)
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--disable-usage-stats"]
    command += [f"--port={port}", "--include-dashboard=false", "--num-cpus=2", "--object-store-memory=100000000"]
    elsewhere = {**environment, "TUNEOFF_CACHE": "/proc/nowhere"}  # a node has no data set of its own
    cluster = subprocess.Popen(
        command, env=elsewhere, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(lambda: _answers(int(port)), "the cluster")
        arguments = simulated(2, "slice.cpus=1")
        said = finish(tuneoff(*arguments, "--address", f"127.0.0.1:{port}", cwd=tmp_path, env=environment))
        assert "Simulated" in said
        check_whole(tmp_path / "results" / "s", 2)
        _a_study_has_its_data_again(tmp_path, [f"--address=127.0.0.1:{port}"], environment)
        big = simulated(2, "slice.cpus=3")
        big[big.index("s")] = "big"
        said = finish(tuneoff(*big, "--address", f"127.0.0.1:{port}", cwd=tmp_path, env=environment), expected=2)
        assert "no node can hold a slice of 3 CPUs and 0 GPUs (nodes have: 2 CPUs and 0 GPUs)" in said
        assert not (tmp_path / "results" / "big").exists()
    finally:
        for process in [*psutil.Process(cluster.pid).children(recursive=True), cluster]:
            process.kill()
        cluster.wait()


def _a_study_has_its_data_again(where: Path, connection: list[str], environment: dict[str, str]) -> None:
    """A study that lost an array, moved and resumed."""
    (where / "results" / "s").rename(where / "moved")
    (array,) = (where / "moved").glob("data/*/test.features.npy")
    array.unlink()
    more = ["resume", "moved", "--set", "search.trials=3", *connection]
    said = finish(tuneoff(*more, cwd=where, env=environment))
    assert f"{array} cannot be read (No such file or directory); the data are made again" in said
    assert array.exists()
    check_whole(where / "moved", 3)


TWO_NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8})
node = cluster.add_node(num_cpus=1, object_store_memory=10**8)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(node, allow_graceful=False)
print("gone", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.mark.long
def test_a_lost_node_costs_at_most_an_evaluation_interval_of_its_trials(tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **SLOW}
    cluster = subprocess.Popen(
        [sys.executable, "-c", TWO_NODES],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    try:
        address = cluster.stdout.readline().strip()
        folder = tmp_path / "results" / "s"
        arguments = [*simulated(3, "search.max_failures=3", *LONG), "--address", address]
        driver = tuneoff(*arguments, cwd=tmp_path, env=environment)
        wait_for(lambda: _running(folder) == 2, "two trials at once, one on each node")
        cluster.stdin.write("lose one\n")
        cluster.stdin.flush()
        assert cluster.stdout.readline() == "gone\n"
        finish(driver)
        table = check_whole(folder, 3)
        assert table["outcome"].ne("failed").all()
        assert sorted(table["segments"]) == [1, 1, 2]
        continued = table[table["segments"] == 2].iloc[0]
        assert continued["failures"] == 0  # it was the machine that failed
        assert continued["lost_s"] > 0
    finally:
        for process in [*psutil.Process(cluster.pid).children(recursive=True), cluster]:
            process.kill()
        cluster.wait()


def _running(folder: Path) -> int:
    """Trials that have evaluated, and not ended."""
    log = folder / "records.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    seen = {row["trial_id"] for row in rows if row["kind"] == "evaluation"}
    return len(seen - {row["trial_id"] for row in rows if row["kind"] == "trial"})


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
