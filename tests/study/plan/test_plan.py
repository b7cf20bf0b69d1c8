from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Choices, Range
from study.plan.completing import refuse_by_model
from study.plan.files import freeze, load_plan, sweep_plan, thaw
from study.plan.shelf import shipped_plans, told
from trainables.common.errors import UserError
from trainables.contract import Execution
from trainables.frameworks import available
from trainables.workloads.workload import find, shipped


def test_there_is_a_plan_for_every_workload() -> None:
    assert {load_plan(name).workload for name in shipped_plans()} == set(shipped())
    assert "quickstart" in shipped_plans()


def test_every_shipped_plan_says_what_it_is_in_a_line() -> None:
    assert shipped_plans()[0] == "quickstart"
    assert all(10 < len(told(name)) < 60 and "=" not in told(name) for name in shipped_plans())


@pytest.mark.parametrize("name", shipped_plans())
def test_a_frozen_plan_thaws_to_itself(name: str, tmp_path: Path) -> None:
    plan = load_plan(name)
    freeze(plan, tmp_path / "plan.toml")
    assert thaw(tmp_path / "plan.toml") == plan


def test_defaults_come_from_the_workload() -> None:
    plan = load_plan("mnist-lenet")
    shape = find("mnist-lenet")
    assert (plan.training.target, plan.training.limit_s, plan.training.epochs) == (
        shape.target,
        shape.limit_s,
        shape.epochs,
    )
    assert list(plan.frameworks) == available()
    assert plan.confirm.runs == 10


def test_a_crossing_must_hold_in_every_plan_but_those_of_before_the_rule(tmp_path: Path) -> None:
    plan = load_plan("quickstart", frameworks=["simulated"])
    point = {"learning_rate": 0.1, "batch_size": 32, "num_workers": 0}
    assert plan.training.holds == plan.spec("simulated", point, seed=0).holds == 2
    freeze(plan, tmp_path / "plan.toml")
    text = (tmp_path / "plan.toml").read_text()
    (tmp_path / "plan.toml").write_text(text.replace("holds = 2\n", ""))
    assert thaw(tmp_path / "plan.toml").training.holds == 1


def test_a_slice_is_enforced_in_every_plan_but_those_of_before(tmp_path: Path) -> None:
    plan = load_plan("quickstart", frameworks=["simulated"])
    point = {"learning_rate": 0.1, "batch_size": 32, "num_workers": 0}
    assert plan.slice.pinned
    assert plan.spec("simulated", point, seed=0).pinned
    freeze(plan, tmp_path / "plan.toml")
    text = (tmp_path / "plan.toml").read_text()
    (tmp_path / "plan.toml").write_text(text.replace("pinned = true\n", ""))
    assert not thaw(tmp_path / "plan.toml").slice.pinned


def test_settings_override_the_plan() -> None:
    plan = load_plan("quickstart", settings=["search.trials=7", "search.sampler=gp", "training.target=0.9"])
    assert (plan.search.trials, plan.search.sampler, plan.training.target) == (7, "gp", 0.9)


def test_a_space_for_all_and_for_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
        workload = "digits-lenet"
        frameworks = ["pytorch", "simulated"]
        [space.all]
        learning_rate = { low = 0.01, high = 0.1, log = true }
        [space.simulated]
        batch_size = { choices = [16, 32] }
        """
    )
    plan = load_plan(str(path))
    assert plan.space["pytorch"]["learning_rate"] == plan.space["simulated"]["learning_rate"] == Range(0.01, 0.1, True)
    assert plan.space["simulated"]["batch_size"] == Choices((16, 32))
    assert plan.space["pytorch"]["batch_size"] == Choices((16, 32, 64, 128))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("search.trails=3", "unknown key search.trails; did you mean 'trials'"),
        ("serach.trials=3", "unknown key serach; did you mean 'search'"),
        ("search.trials=0", "search.trials is 0"),
        ("search.sampler=tpee", "search.sampler is 'tpee'.*valid: tpe, random, gp"),
        ("search.objective=lukewarm", "search.objective is 'lukewarm'"),
        ("training.target=98.5", "training.target is 98.5"),
        ("training.limit_s=-1", "training.limit_s is -1"),
        ("training.limit_s=inf", "training.limit_s is inf"),
        ("slice.cpus=0", "slice.cpus is 0"),
        ("slice=3", "slice is 3; it must be a table"),
        ("workload=mnst-lenet", "unknown workload 'mnst-lenet', .*; did you mean 'mnist-lenet'"),
        ('frameworks=["pytroch"]', "unknown framework 'pytroch'; did you mean 'pytorch'"),
        ('frameworks=["pytorch","pytorch"]', "names one twice"),
        ("frameworks=pytorch", "write a list of names"),
        ("space.pytorh.batch_size={choices=[1]}", "space.pytorh.*did you mean 'pytorch'"),
        ("space.all.learning_rat={low=1,high=2}", "did you mean 'learning_rate'"),
        ("space.all.learning_rate={low=1,hi=2}", "low, high, log"),
        ("space.all.learning_rate={low=2,high=1}", "above high"),
        ("space.all.learning_rate={low=-1,high=1}", "learning_rate has -1"),
        ("space.all.batch_size={choices=[1.5]}", "whole numbers"),
        ("space.all.batch_size={low=0,high=4}", "batch_size has 0"),
        ("space.all.num_workers={low=0,high=8}", "num_workers has 8.*CPUs of a slice"),
        ("search.initial_points=[{learning_rate=0.1}]", "each point needs learning_rate, batch_size, num_workers; got"),
        ("search.initial_points=[{learning_rate=9.0,batch_size=64,num_workers=0}]", "outside the search space"),
        ("trials", "write key=value"),
        ("seed=-1", "seed is -1"),
        ("training.holds=0", "training.holds is 0"),
        ("search.cap_lag=0.5", "search.cap_lag: it is 0.5; it must be 1 or more, or 0: curves are not compared"),
        ("search.trials=true", "search.trials is True; it takes a whole number"),
        ("search.pays_after=true", "search.pays_after is True; it takes a whole number"),
        ("training.target=true", "training.target is True; it takes a number"),
        ("slice.gpus=false", "slice.gpus is False; it takes a number"),
        ("seed=true", "seed is True; it takes a whole number"),
        ("search.warm_start=3", "search.warm_start is 3; it takes a table"),
        ("search.warm_start={pytorch={learning_rate=0.1}}", "search.warm_start.pytorch is .*; it takes a list"),
        ("search.warm_start={pytorhc=[]}", "search.warm_start.pytorhc is for no framework; did you mean 'pytorch'"),
        ("search.initial_points={learning_rate=0.1}", "search.initial_points is .*; it takes a list"),
    ],
)
def test_bad_values_are_named(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_plan("quickstart", settings=[setting])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["seed=4294967296"], "seed is 4294967296; it must be less than 2147483648"),
        (["training.limit_s=-4294967296.0"], "training.limit_s is -4294967296; it must be more than 0"),
        (["training.momentum=1"], "training.momentum is 1; it must be less than 1"),
        (["training.target=94"], "training.target is 94; it must be 1 or less: 0.94 is 94 %"),
        (["training.target=200"], "training.target is 200; it must be 1 or less$"),
        (["training.optimizer=adan"], "training.optimizer is 'adan'; did you mean 'adam'. valid: sgd, nesterov, adam"),
        (["training.precision=fp32"], "training.precision is 'fp32'; did you mean 'float32'. valid: float32, bf16"),
        (["search.trials=five"], "search.trials is 'five'; it takes a whole number"),
        (["search.trials=1.5"], "search.trials is 1.5; it takes a whole number"),
        (["slice.pinned=3"], "slice.pinned is 3; it takes true or false"),
        (["trials=5"], "unknown key trials; did you mean search.trials.$"),
        (["runs=5"], "unknown key runs; did you mean race.runs or confirm.runs.$"),
        (["search.target=0.9"], "unknown key search.target; did you mean training.target.$"),
        (["batch_size=8"], "unknown key batch_size; did you mean space.all.batch_size.$"),
        (["space.all.batch_size=4294967296"], "space.all.batch_size is 4294967296; it must lie between 1 and 1048576"),
        (["space.all.batch_size={choices=[16,2097152]}"], "space.all.batch_size has 2097152; .* 1 and 1048576"),
        (["space.all.learning_rate=5000"], "space.all.learning_rate is 5000; it must lie between 1e-12 and 1000"),
        (["space.all.learning_rate=inf"], "space.all.learning_rate is inf; it must lie"),
        (["space.all.learning_rate=nan"], "space.all.learning_rate is nan; it must lie"),
        (["space.all.learning_rate={low=2,high=1}"], "space.all.learning_rate: low is 2, above high"),
        (["space.all.learning_rat=1"], "unknown hyperparameter space.all.learning_rat; did you mean 'learning_rate'"),
        (["space.pytorch.batch_size=0"], "space.pytorch.batch_size is 0; it must lie"),
        (["space.all.batch_size=8", "space.pytorch.batch_size=0"], "space.pytorch.batch_size is 0; it must lie"),
        (["space.all.batch_size=0", "space.pytorch.batch_size=8"], "space.all.batch_size is 0; it must lie"),
        (["space.all.num_workers=3"], r"space.all.num_workers is 3; .* between 0 and 1 \(the CPUs of a slice\)"),
        (["space.all.learning_rate=abc"], "space.all.learning_rate is 'abc'; it takes numbers"),
        (["space.all.batch_size=true"], "space.all.batch_size is True; it takes whole numbers"),
        (["space.all.batch_size={choices=16}"], "space.all.batch_size: it is {'choices': 16}; write"),
        (["space.all.batch_size={low='a',high=2}"], "space.all.batch_size: low is 'a'; it takes numbers"),
        (["space.all.learning_rate={choices=['a']}"], "space.all.learning_rate is 'a'; it takes numbers"),
        (["space.all.batch_size={choices=[16.0, 32]}"], "space.all.batch_size has 16.0; it takes whole numbers"),
        (["space.all=3"], r"space.all is 3; it must be a table, as in \[space.all\]"),
        (["space=3"], r"space is 3; it must be a table, as in \[space\]"),
        (
            ["search.initial_points=[{learning_rate=0.05,batch_size=4294967296,num_workers=0}]"],
            "batch_size = 4294967296 is outside the search space",
        ),
    ],
)
def test_a_message_names_the_key_that_was_written_and_the_number_in_digits(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=f"^plan quickstart: (search.initial_points: )?{message}"):
        load_plan("quickstart", settings=settings, frameworks=["simulated", "pytorch"])


@pytest.mark.parametrize(
    ("over", "fixed", "message"),
    [
        ({"learning_rate": (-1.0,)}, {}, "sweep.over.learning_rate has -1; it must lie between 1e-12 and 1000"),
        ({"batch_size": (1.5,)}, {}, "sweep.over.batch_size has 1.5; it takes whole numbers"),
        ({"batch_size": (4294967296.0,)}, {}, "sweep.over.batch_size has 4294967296; it must lie"),
        ({"num_workers": (0.0, 5000.0)}, {}, "sweep.over.num_workers has 5000; it must lie between 0 and 1024"),
        ({"num_workers": (0.0,)}, {"learning_rate": -1.0}, "sweep.learning_rate is -1; it must lie"),
        ({"num_workers": ()}, {}, "sweep.over.num_workers needs values"),
        ({"momntum": (0.0,)}, {}, "unknown hyperparameter sweep.over.momntum; did you mean 'momentum'"),
    ],
)
def test_a_sweep_is_checked_as_a_search_is(
    over: dict[str, tuple[float, ...]], fixed: dict[str, float], message: str
) -> None:
    point = {"learning_rate": 0.02, "batch_size": 128, "num_workers": 0, **fixed}
    with pytest.raises(UserError, match=f"^the sweep: {message}"):
        sweep_plan("digits-lenet", {"over": over, "repeats": 1, **point}, frameworks=["simulated"])


RESNET = "workload=mnist-resnet18"
ALL = "space.all.batch_size"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([f"{ALL}={{choices=[32, 4096]}}"], f"{ALL} has 1080|{ALL} has 4096, more than the 1079 training samples"),
        ([f"{ALL}={{low=8, high=2000, log=true}}"], f"{ALL} has 1080, more than the 1079 training samples"),
        (["space.pytorch.batch_size={choices=[5000]}"], "space.pytorch.batch_size is 5000, more than"),
        (["training.epochs=2", "training.evaluate_every_samples=2159"], "evaluate_every_samples is 2159.*2158 samples"),
        (["training.epochs=2", "training.evaluate_every_samples=2158"], "training.holds is 2.*have room for 1"),
        (["training.epochs=3", "training.holds=7"], "training.holds is 7.*have room for 6"),
    ],
)
def test_what_is_impossible_is_refused_with_its_key(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_plan("quickstart", settings=settings, frameworks=["pytorch", "simulated"])


@pytest.mark.parametrize(
    "settings",
    [
        [f"{ALL}={{choices=[1, 2, 7, 1078, 1079]}}"],
        ["training.epochs=2", "training.evaluate_every_samples=2158", "training.holds=1"],
        ["training.epochs=3", "training.holds=6"],
        ["training.target=1"],
    ],
)
def test_what_is_possible_is_not(settings: list[str]) -> None:
    load_plan("quickstart", settings=settings, frameworks=["pytorch"])


ONE = "pytorch"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (f"{ALL}={{choices=[1, 64]}}", "has 1, but the BatchNorm of PyTorch's model needs 2 samples"),
        (f"{ALL}={{low=1, high=64}}", "has 1, but the BatchNorm"),
        (f"{ALL}={{choices=[49999]}}", "is 49999, which leaves a last batch of 1 of 50000"),
        (f"{ALL}={{low=2, high=50000}}", "has 49999, which leaves a last batch of 1"),
        (f"{ALL}={{low=2, high=49998, log=true}}", None),
        (f"{ALL}={{choices=[50000, 24999]}}", None),  # a last batch of 2
    ],
)
def test_batches_of_one_are_refused_where_a_model_cannot_learn_from_them(setting: str, message: str | None) -> None:
    plan, trained = load_plan("quickstart", settings=[RESNET, setting], frameworks=[ONE]), find("mnist-resnet18")
    made = trained.made
    assert made is not None

    def refuse() -> None:
        refuse_by_model(plan, made, trained, why="the BatchNorm of PyTorch's model")

    if message is None:
        refuse()
        return
    with pytest.raises(UserError, match=f"^space.pytorch.batch_size {message}"):
        refuse()


@pytest.mark.parametrize(
    ("over", "fixed", "message"),
    [
        ({"batch_size": (64, 60000)}, {}, "sweep.over.batch_size has 60000, more than the 50000 training samples"),
        ({"batch_size": (64, 1)}, {}, "sweep.over.batch_size has 1, but its norm needs"),
        ({"num_workers": (0, 1)}, {"batch_size": 49999}, "sweep.batch_size is 49999, which leaves a last batch of 1"),
    ],
)
def test_a_sweep_of_the_impossible_is_refused(
    over: dict[str, tuple[int, ...]], fixed: dict[str, int], message: str
) -> None:
    point = {"learning_rate": 0.02, "batch_size": 128, "num_workers": 0, **fixed}
    trained = find("mnist-resnet18")
    made = trained.made
    assert made is not None

    def refuse() -> None:
        plan = sweep_plan("mnist-resnet18", {"over": over, "repeats": 1, **point}, frameworks=["simulated"])
        refuse_by_model(plan, made, trained, why="its norm")

    with pytest.raises(UserError, match=message):
        refuse()


def test_a_study_that_was_begun_with_it_can_still_be_read(tmp_path: Path) -> None:
    freeze(load_plan("quickstart"), tmp_path / "plan.toml")
    text = (tmp_path / "plan.toml").read_text()
    (tmp_path / "plan.toml").write_text(text.replace("128,", "4096,"))
    assert thaw(tmp_path / "plan.toml").space["pytorch"]["batch_size"] == Choices((16, 32, 64, 4096))


SHARED = ["slice.gpus=0.5", "slice.allow_shared_gpu=true"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["slice.gpus=0.5"], "slice.gpus is 0.5, but trials that share a GPU .* or --allow-shared-gpu, which marks"),
        (["slice.gpus=0.99"], "slice.gpus is 0.99, but trials"),
        (["slice.gpus=1.5", SHARED[1]], "slice.gpus is 1.5; give whole GPUs, or a share of one from 0.01 on"),
        (["slice.gpus=0.001", SHARED[1]], "slice.gpus is 0.001; give whole"),
        (["slice.gpus=-1"], "slice.gpus is -1; it must be 0 or more"),
        (["slice.gpus=two"], "slice.gpus is 'two'"),
        (["slice.gpus=nan", SHARED[1]], "slice.gpus is nan"),
        (["slice.gpus=inf", SHARED[1]], "slice.gpus is inf"),
    ],
)
def test_gpus_are_whole_unless_sharing_is_allowed(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_plan("quickstart", settings=settings, frameworks=["simulated"])


def test_a_share_of_a_gpu_is_in_the_frozen_plan(tmp_path: Path) -> None:
    plan = load_plan("quickstart", settings=SHARED, frameworks=["simulated"])
    freeze(plan, tmp_path / "plan.toml")
    assert "gpus = 0.5\n" in (tmp_path / "plan.toml").read_text()
    assert thaw(tmp_path / "plan.toml") == plan
    assert plan.spec("simulated", {"learning_rate": 0.1, "batch_size": 32, "num_workers": 0}, seed=0).device == "cuda"
    freeze(load_plan("quickstart", settings=["slice.gpus=2.0"], frameworks=["simulated"]), tmp_path / "plan.toml")
    assert "gpus = 2\n" in (tmp_path / "plan.toml").read_text()


BF16, CHANNELS_LAST, RESIDENT = (
    "training.precision=bf16",
    "training.memory_format=channels_last",
    "training.data_on_device=true",
)


@pytest.mark.parametrize(
    ("frameworks", "setting", "message"),
    [
        (["flux"], BF16, "training.precision is bf16, which Flux does not offer; --set training.precision=float32"),
        (["pytorch", "flux"], CHANNELS_LAST, "training.memory_format is channels_last, .* or leave Flux out"),
        (["flux", "simulated"], RESIDENT, "training.data_on_device is true, .* --set training.data_on_device=false"),
        (["pytorch"], "training.precision=fp16", "training.precision is 'fp16'"),
        (["pytorch"], "training.memory_format=nhwc", "training.memory_format is 'nhwc'"),
        (
            ["pytorch"],
            RESIDENT,
            "training.data_on_device is true, but space.all.num_workers is up to 1: .* space.all.num_workers=0",
        ),
    ],
)
def test_what_a_framework_does_not_offer_is_refused(frameworks: list[str], setting: str, message: str) -> None:
    with pytest.raises(UserError, match=f"plan quickstart: {message}"):
        load_plan("quickstart", settings=[setting], frameworks=frameworks)


@pytest.mark.parametrize(
    ("over", "workers", "refused"),
    [
        ({"batch_size": (32,)}, 0, None),
        ({"num_workers": (0,)}, 2, None),  # which is never used
        ({"batch_size": (32,)}, 1, "sweep.num_workers is up to 1"),
        ({"num_workers": (0, 4)}, 0, "sweep.over.num_workers is up to 4"),
    ],
)
def test_a_sweep_with_data_on_the_device_has_no_loader(
    over: dict[str, tuple[int, ...]], workers: int, refused: str | None
) -> None:
    sweep = {"over": over, "repeats": 1, "learning_rate": 0.1, "batch_size": 32, "num_workers": workers}

    def plan() -> bool:
        return sweep_plan("digits-lenet", sweep, settings=[RESIDENT], frameworks=["pytorch"]).training.data_on_device

    if refused is None:
        assert plan()
        return
    with pytest.raises(UserError, match=refused):
        plan()


def test_options_reach_every_training() -> None:
    settings = [BF16, CHANNELS_LAST, RESIDENT, "space.all.num_workers=0"]
    plan = load_plan("quickstart", settings=settings, frameworks=["pytorch", "simulated", "simulated2"])
    spec = plan.spec("pytorch", {"learning_rate": 0.1, "batch_size": 32, "num_workers": 0}, seed=0)
    assert spec.execution == Execution("bf16", "channels_last", data_on_device=True)


def test_a_plan_frozen_before_there_were_options_is_the_same_plan(tmp_path: Path) -> None:
    new = ("allow_shared_gpu", "precision", "memory_format", "data_on_device")
    plan = load_plan("quickstart", frameworks=["pytorch"])
    freeze(plan, tmp_path / "plan.toml")
    lines = (tmp_path / "plan.toml").read_text().splitlines(keepends=True)
    old = [line for line in lines if not line.startswith(new)]
    assert len(lines) - len(old) == len(new)
    (tmp_path / "plan.toml").write_text("".join(old))
    assert thaw(tmp_path / "plan.toml") == plan


def test_unknown_plan() -> None:
    with pytest.raises(UserError, match="did you mean 'quickstart'"):
        load_plan("quikstart")


PLAN = 'workload = "digits-lenet"\nsearch.trials = 7\n'


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("workload = ")
    with pytest.raises(UserError, match="is not TOML"):
        load_plan(str(path))
    for damaged, message in (
        (b"\xff\xfe\x00", "is UTF-16 or no text; save it as UTF-8"),
        (PLAN.encode("utf-16"), "is UTF-16"),
        (PLAN.encode("utf-16-be"), "is UTF-16"),
        (PLAN.encode() + "# caf\xe9".encode("latin-1"), "line 3 is not UTF-8; save it as that"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "no text"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"cannot read.*{message}"):
            load_plan(str(path))
    with pytest.raises(UserError, match=r"is a folder, and no workload: it has no workload.toml"):
        load_plan(str(tmp_path))


@pytest.mark.parametrize(
    "written",
    [
        PLAN.encode("utf-8-sig"),
        PLAN.replace("\n", "\r\n").encode(),
        PLAN.replace("\n", "\r\n").encode("utf-8-sig"),
    ],
    ids=["byte order mark", "CRLF", "both"],
)
def test_what_editors_do_to_a_plan_does_not_matter(written: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_bytes(written)
    assert load_plan(str(path), frameworks=["pytorch"]).search.trials == 7


def test_a_frozen_plan_with_a_byte_order_mark_thaws(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    freeze(load_plan("quickstart"), path)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert thaw(path) == load_plan("quickstart")


@pytest.mark.parametrize("name", ["x" * 300, "a/b/plan.toml", "quickstart/plan.toml"])
def test_a_plan_that_cannot_be_a_file(name: str) -> None:
    with pytest.raises(UserError, match="and no such file"):
        load_plan(name)


def test_a_plan_in_a_folder_that_is_missing_is_told_as_that(tmp_path: Path) -> None:
    gone = f"{tmp_path}/gone"
    for name, folder in (("a/b/plan.toml", "a/b"), (f"{gone}/plan.toml", gone), ("nowhere/plan", "nowhere")):
        with pytest.raises(UserError, match=f"unknown plan '{name}', and no such file: there is no folder {folder}$"):
            load_plan(name)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_torn_frozen_plan_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "plan.toml"
    freeze(load_plan("quickstart"), path)
    text = path.read_text()
    path.write_text(text[: int(len(text) * share)])
    with pytest.raises(UserError, match=r"plan\.toml"):
        thaw(path)


@pytest.mark.parametrize("workload", shipped())
def test_a_shipped_workload_means_its_plan(workload: str) -> None:
    changes: dict[str, list[str]] = {"settings": ["search.trials=7"], "frameworks": ["simulated"]}
    (plan,) = (name for name in shipped_plans() if load_plan(name).workload == workload)
    assert load_plan(workload, **changes) == load_plan(plan, **changes)


def test_a_shipped_workload_without_a_plan_has_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.plan.files.shipped_plans", lambda: ["mnist-lenet"])
    found = load_plan("digits-lenet", frameworks=["simulated"])
    assert (found.workload, found.search.trials) == ("digits-lenet", 30)


def test_what_is_wrong_with_a_workloads_plan_is_told_of_the_plan() -> None:
    with pytest.raises(UserError, match=r"^plan quickstart: search\.trials"):
        load_plan("digits-lenet", settings=["search.trials=0"])
    with pytest.raises(UserError, match=r"^unknown plan 'digit-lenet'.*did you mean 'digits-lenet'"):
        load_plan("digit-lenet")
