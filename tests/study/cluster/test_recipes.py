"""What ``tuneoff cluster`` prints: parsed, linted, and the launch-or-resume part of it run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from study.cluster.recipes.kubernetes import Kubernetes, kubernetes_manifest
from study.cluster.recipes.limits import seconds, spelled
from study.cluster.recipes.local import local_script
from study.cluster.recipes.rendering import render, yaml_lines
from study.cluster.recipes.slurm import Slurm, slurm_script
from study.cluster.recipes.work import Nodes, Work, variables, work_for
from trainables.common.errors import UserError

# What no shell and no YAML may take for its own.
NASTY = """it's "a" $(touch pwned) `b` \\ ; & | > {{ x }} {# #} %} é"""
PLAIN = Work(plan="quickstart", name="quickstart", out=Path("/shared/results"))
WORKS = {
    "plain": PLAIN,
    "nasty": Work(
        plan="mnist-lenet",
        name=NASTY,
        out=Path("/shared") / NASTY,
        frameworks="simulated, pytorch",
        settings=("search.trials=3", f"x={NASTY}", "space.all.learning_rate={low=1e-4, high=1e-2, log=true}"),
        data_dir=Path("/data of mine"),
        environment={"TUNEOFF_CACHE": NASTY, "NO": "no"},
    ),
}
NODES = {"plain": Nodes(2, 4), "many": Nodes(16, 64, 8), "one": Nodes(1, 1)}
KUBERNETES = Kubernetes(image="tuneoff:1", claim="studies", limit_s=3600, memory_gib=16)


def slurm(work: Work, nodes: Nodes, **options: Any) -> str:
    return slurm_script(work, nodes, Slurm(**{"environment": Path("/opt/my env"), "limit_s": 3600, **options}))


def local(work: Work, nodes: Nodes) -> str:
    return local_script(work, nodes, Path("/opt/my env"))


def entrypoint(work: Work, nodes: Nodes) -> str:
    config, _ = yaml.safe_load_all(kubernetes_manifest(work, nodes, KUBERNETES))
    return str(config["data"]["study.sh"])


SCRIPTS: list[Callable[[Work, Nodes], str]] = [slurm, local, entrypoint]


@pytest.mark.parametrize("nodes", NODES.values(), ids=NODES)
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_shell_that_shellcheck_finds_nothing_in(
    script: Callable[[Work, Nodes], str], work: Work, nodes: Nodes, tmp_path: Path
) -> None:
    path = tmp_path / "script.sh"
    path.write_text(script(work, nodes), encoding="utf-8")
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed; bash -n finds nothing")
    # SC2016: a quoted value may have a $ in it; SC2089 and SC2090: and quotes.
    lint = ["shellcheck", "--exclude=SC2016,SC2089,SC2090", path]
    checked = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert checked.stdout == ""


@pytest.mark.parametrize("begun", [None, "plan.toml", "records.jsonl"])
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_launches_a_study_or_resumes_it_and_quotes_every_value(
    script: Callable[[Work, Nodes], str], work: Work, begun: str | None, tmp_path: Path
) -> None:
    work = Work(**{**work.__dict__, "out": tmp_path / work.out.name})
    if begun:
        work.folder.mkdir(parents=True)
        (work.folder / begun).touch()
    part = re.search(r"^study=.*?^fi$", script(work, Nodes(2, 1)), re.DOTALL | re.MULTILINE)
    assert part is not None
    said = subprocess.run(
        ["bash", "-euc", part[0] + "\nprintf '%s\\0' \"${command[@]}\""], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    assert said.decode().split("\0")[:-1] == (work.resume if begun else work.launch)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("script", [slurm, local])
def test_variables_of_every_node_arrive_as_they_are_and_ours_are_set(
    script: Callable[[Work, Nodes], str], tmp_path: Path
) -> None:
    exports = [line for line in script(WORKS["nasty"], Nodes(2, 1)).splitlines() if line.startswith("export ")]
    code = "\n".join(exports) + '\nprintf \'%s\\0\' "$TUNEOFF_CACHE" "$NO" "$RAY_worker_niceness" "${PATH%%:*}"'
    environment = {"SLURM_JOB_ID": "7", "RAY_TMPDIR": "/tmp/x", "PATH": "/usr/bin:/bin"}
    said = subprocess.run(["bash", "-euc", code], env=environment, cwd=tmp_path, capture_output=True, check=True).stdout
    assert said.decode().split("\0")[:-1] == [NASTY, "no", "0", "/opt/my env/bin"]


def directives(script: str) -> dict[str, str | None]:
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH ")]
    return {name: value or None for name, _, value in (line.partition("=") for line in lines)}


def test_sbatch_is_asked_for_whole_nodes_and_a_notice_before_the_limit() -> None:
    asked = directives(slurm(WORKS["nasty"], Nodes(3, 8, 2), partition="gpu", account="lab.1"))
    assert asked["nodes"] == "3"
    assert asked["ntasks-per-node"] == "1"
    assert asked["cpus-per-task"] == "8"
    assert asked["gpus-per-node"] == "2"
    assert asked["time"] == "0-01:00:00"
    assert asked["partition"] == "gpu"
    assert asked["account"] == "lab.1"
    assert asked["signal"] == "B:TERM@120"
    assert "exclusive" in asked
    assert re.fullmatch(r"[\w.-]+", asked["job-name"] or "")


def test_sbatch_is_asked_for_nothing_that_was_not_given() -> None:
    asked = directives(slurm(PLAIN, Nodes(2, None)))
    assert not {"cpus-per-task", "gpus-per-node", "partition", "account"} & set(asked)
    assert 'cpus="$SLURM_CPUS_ON_NODE"' in slurm(PLAIN, Nodes(2, None))


def test_every_node_gets_only_flags_that_a_worker_takes() -> None:
    command = re.search(r"ray symmetric-run (.*?) -- ", slurm(PLAIN, NODES["plain"]).replace("\\\n", ""), re.DOTALL)
    assert command is not None
    flags = set(re.findall(r"--[\w-]+", command[1]))
    assert flags == {"--address", "--min-nodes", "--num-cpus", "--num-gpus"}


@pytest.mark.parametrize("option", ["partition", "account"])
@pytest.mark.parametrize("value", ["", "a b", "a\n#SBATCH --x", "$x"])
def test_a_name_that_slurm_cannot_have_is_refused(option: str, value: str) -> None:
    with pytest.raises(UserError, match=f"(?s)--{option} .* is no name that Slurm has"):
        slurm(PLAIN, NODES["plain"], **{option: value})


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("90", 5400), ("90:30", 5430), ("12:00:00", 43200), ("2-6", 194400), ("1-0:30", 88200), ("1-2:03:04", 93784)],
)
def test_time_limits_are_those_of_slurm(text: str, expected_s: int) -> None:
    assert seconds(text, least_s=600) == expected_s
    assert seconds(spelled(expected_s), least_s=600) == expected_s


@pytest.mark.parametrize("text", ["", "12h", "-5", "1:2:3:4", "1.5", "1-", "9", "0:09:59"])
def test_other_time_limits_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--time"):
        seconds(text, least_s=600)


# Slurm and Ray as the script meets them, on one machine; each is a line of shell.
FAKES = {
    "scontrol": "printf '%s\\n' node1 node2",
    "getent": "echo '192.0.2.1 STREAM node1'; echo '192.0.2.1 DGRAM'",
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "ray": 'echo "$@" >"$TOLD"; while [ "$1" != -- ]; do shift; done; shift; "$@"',
    "tuneoff": 'trap \'exit 143\' TERM; echo "$@" $RAY_worker_niceness; while [ -n "$STAYS" ]; do sleep 0.05; done',
}


class Batch:
    """The sbatch script on a machine where `FAKES` are all that there is of Slurm and Ray."""

    def __init__(self, folder: Path, *, stays: bool = False, **fakes: str) -> None:
        tools = folder / "my env" / "bin"
        tools.mkdir(parents=True)
        for name, line in {**FAKES, **fakes}.items():
            (tools / name).write_text(f"#!/bin/sh\n{line}\n")
            (tools / name).chmod(0o755)
        script = folder / "job.sh"
        work = Work(**{**PLAIN.__dict__, "out": folder / "results"})
        script.write_text(slurm(work, Nodes(2, None), environment=tools.parent))
        number = os.getpid()
        self.local = Path(f"/tmp/tuneoff-{number}")
        self.address = f"192.0.2.1:{20_000 + number % 10_000}"
        self.told = folder / "told"
        variables = {
            "SLURM_JOB_ID": str(number),
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_CPUS_ON_NODE": "7",
            "TOLD": str(self.told),
            "STAYS": "yes" if stays else "",
        }
        self.process = subprocess.Popen(
            ["bash", script], env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ends(self) -> tuple[int, str, str]:
        said, complained = self.process.communicate(timeout=60)
        return self.process.returncode, said, complained


def test_the_sbatch_script_starts_ray_everywhere_and_the_study_once(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    code, said, complained = batch.ends()
    assert (code, complained) == (0, "")
    launch = f"launch quickstart --name quickstart --out {tmp_path}/results --address {batch.address}"
    assert said == f"{launch} 0\n"
    start = f"symmetric-run --address {batch.address} --min-nodes 2 --num-cpus 7 --num-gpus 0 -- "
    assert batch.told.read_text().startswith(start)
    assert not batch.local.exists()


def test_the_sbatch_script_hands_sigterm_to_the_study_alone(tmp_path: Path) -> None:
    batch = Batch(tmp_path, stays=True)
    assert batch.process.stdout is not None
    batch.process.stdout.readline()  # the study runs
    batch.process.terminate()
    code, _, complained = batch.ends()
    assert code == 143
    assert complained == "SIGTERM: the study stops; submit this script again to go on with it\n"
    assert not batch.local.exists()


@pytest.mark.parametrize(("ray", "expected"), [("exit 0", 1), ("exit 3", 1)])
def test_a_ray_that_does_not_start_is_told_by_the_exit_code(tmp_path: Path, ray: str, expected: int) -> None:
    code, _, complained = Batch(tmp_path, ray=ray).ends()
    assert code == expected
    assert "the study did not start: Ray did not, see above" in complained


def test_the_exit_code_of_the_study_is_that_of_the_job(tmp_path: Path) -> None:
    assert Batch(tmp_path, tuneoff="exit 2").ends()[0] == 2


def manifest(work: Work, nodes: Nodes, kubernetes: Kubernetes = KUBERNETES) -> tuple[dict[str, Any], dict[str, Any]]:
    text = kubernetes_manifest(work, nodes, kubernetes)
    config, job = yaml.safe_load_all(text)
    return config, job


@pytest.mark.parametrize("nodes", NODES.values(), ids=NODES)
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_the_manifest_is_a_ray_job_as_kuberay_has_it(work: Work, nodes: Nodes) -> None:
    config, job = manifest(work, nodes)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert (config["apiVersion"], config["kind"]) == ("v1", "ConfigMap")
    name = job["metadata"]["name"]
    assert config["metadata"]["name"] == name
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 47
    spec = job["spec"]
    assert set(spec) == {
        "entrypoint", "shutdownAfterJobFinishes", "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec",
    }  # fmt: skip
    cluster = spec["rayClusterSpec"]
    assert set(cluster) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    assert cluster["rayVersion"] == version("ray")
    assert set(cluster["headGroupSpec"]) == {"rayStartParams", "template"}
    (workers,) = cluster["workerGroupSpecs"]
    assert set(workers) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == nodes.count
    assert workers["rayStartParams"] == {"num-cpus": str(nodes.cpus), "num-gpus": str(nodes.gpus)}
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    for group in (cluster["headGroupSpec"], workers):
        _check_pod(group["template"]["spec"], work, name)
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["cpu"] == str(nodes.cpus)
    assert limits.get("nvidia.com/gpu") == (str(nodes.gpus) if nodes.gpus else None)


def _check_pod(pod: dict[str, Any], work: Work, name: str) -> None:
    (container,) = pod["containers"]
    assert container["image"] == "tuneoff:1"
    assert container["resources"]["requests"] == container["resources"]["limits"]
    found = {each["name"]: each["value"] for each in container["env"]}
    assert found == {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", **work.environment}
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts == {"shared": str(work.out), "study": "/etc/tuneoff"}
    shared, study = pod["volumes"]
    assert shared["persistentVolumeClaim"] == {"claimName": "studies"}
    assert study["configMap"] == {"name": name}


def test_a_plan_that_is_a_file_travels_in_the_manifest(tmp_path: Path) -> None:
    plan = tmp_path / "my plan"
    plan.write_text('workload = "digits-lenet"\n# tab\there, ü\n')
    config, _ = manifest(Work(**{**PLAIN.__dict__, "plan": str(plan)}), NODES["plain"])
    assert config["data"]["plan.toml"] == plan.read_text()
    assert "tuneoff launch /etc/tuneoff/plan.toml --name quickstart" in config["data"]["study.sh"]


def test_what_kubernetes_is_asked_for_beside_nodes() -> None:
    asked = Kubernetes("img", "c", 3600, 8, namespace="lab", service_account="ray", environment=Path("/opt/venv"))
    config, job = manifest(PLAIN, NODES["plain"], asked)
    assert config["metadata"]["namespace"] == job["metadata"]["namespace"] == "lab"
    pod = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    assert pod["serviceAccountName"] == "ray"
    (path,) = [each["value"] for each in pod["containers"][0]["env"] if each["name"] == "PATH"]
    assert path.startswith("/opt/venv/bin:/usr/")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"claim": "My_Claim"}, "--claim 'My_Claim' is no name"),
        ({"namespace": "a b"}, "--namespace 'a b' is no name"),
        ({"service_account": ""}, "--service-account '' is no name"),
        ({"image": ""}, "--image '' is no image"),
        ({"image": "a b"}, "--image 'a b' is no image"),
    ],
)
def test_names_that_kubernetes_cannot_have_are_refused(change: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        manifest(PLAIN, NODES["plain"], Kubernetes(**{**KUBERNETES.__dict__, **change}))


@pytest.mark.parametrize(
    ("study", "name"), [("Adam_2", "adam-2"), ("2 fast", "study-2-fast"), ("x" * 60, "x" * 47), ("-a-", "a")]
)
def test_a_study_gets_a_name_that_kubernetes_takes(study: str, name: str) -> None:
    assert manifest(Work(**{**PLAIN.__dict__, "name": study}), NODES["plain"])[1]["metadata"]["name"] == name


def test_a_study_without_a_letter_for_kubernetes_is_refused() -> None:
    with pytest.raises(UserError, match="give another with --name"):
        manifest(Work(**{**PLAIN.__dict__, "name": "ß"}), NODES["plain"])


@pytest.mark.parametrize(
    "text", ["a\n", "a\n\n  b\n", " a\n", "a", "a\n\n", "\n", "", "a\r\n", "a\x07\n", "é: #\n", "a\tb\n"]
)
def test_any_text_comes_through_yaml(text: str) -> None:
    assert yaml.safe_load(f"key:\n  x: {yaml_lines(text, 4)}\n  y: 1\n") == {"key": {"x": text, "y": 1}}


def test_no_image_registry_is_named_by_default() -> None:
    text = kubernetes_manifest(PLAIN, NODES["plain"], KUBERNETES)
    assert re.findall(r"image: (.*)", text) == [json.dumps("tuneoff:1")] * 2
    assert not re.search(r"\w\.io/(?!v1)", text)


def test_a_template_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(Exception, match="undefined"):
        render("local.sh.j2")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("slice.cpus=8", "slice.cpus is 8, but --cpus 4: no node could hold a trial; --cpus 8, or --set slice.cpus=4"),
        ("slice.gpus=1", "slice.gpus is 1, but the nodes have 0 each"),
        ("search.trails=8", "did you mean"),
    ],
)
def test_a_plan_that_could_not_run_there_is_refused(setting: str, said: str) -> None:
    asked = Work(**{**PLAIN.__dict__, "frameworks": "simulated", "settings": (setting,)})
    with pytest.raises(UserError, match=re.escape(said)):
        work_for(Nodes(2, 4), asked)


@pytest.mark.parametrize("text", ["A", "=b", "3=a", "a b=c", "é=1"])
def test_a_variable_is_a_name_and_a_value(text: str) -> None:
    with pytest.raises(UserError, match="write NAME=VALUE"):
        variables([text])
    assert variables(["A=b=c", "_x="]) == {"A": "b=c", "_x": ""}


@pytest.mark.parametrize(("one", "other"), combinations(["plain", "many", "one"], 2))
def test_nodes_show_in_every_file(one: str, other: str) -> None:
    for text in (slurm, local, lambda work, nodes: kubernetes_manifest(work, nodes, KUBERNETES)):
        assert text(PLAIN, NODES[one]) != text(PLAIN, NODES[other])
