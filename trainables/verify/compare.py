"""The proof that two frameworks compute the same training: the same weights and batches through both, step by step.

Each framework steps in a process of its own (torch and Julia must not share one); arrays travel through files. For
every step the largest relative difference of each quantity is taken: max |a - b| over a tensor, divided by the largest
magnitude in it. In float64 a difference is the formula or it is nothing; in float32 the code that real trainings run is
checked, with the rounding that float32 brings.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from trainables.common.helpers import telling
from trainables.common.house import python
from trainables.contract import Optimizer, TracePrecision
from trainables.determinism import initial_parameters, sample_order
from trainables.frameworks import framework, traced
from trainables.verify.trace import GRADIENT, LOGITS, LOSS, PARAMETER, Arrays, state_file, step_file
from trainables.workloads.architectures import MODELS, TensorSpec
from trainables.workloads.prepared import load
from trainables.workloads.shipped import Workload

STEPS = 50
BATCH_SIZE = 32
SEED = 0
STEP_S = 900.0  # without an answer for so long, a side hangs; the first one compiles
END_S = 10.0  # for a side that hung up to end
PRECISIONS: tuple[TracePrecision, ...] = ("float64", "float32")
OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adam")
INITIAL, STATISTIC, SYSTEMATIC = "initial parameter", "statistic", "systematic gradient"
QUANTITIES = (INITIAL, LOGITS, LOSS, STATISTIC, GRADIENT, SYSTEMATIC, PARAMETER)  # as an error would spread
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4

FREE_RUNNING_IN_FLOAT32 = {"lenet"}
SYSTEMATIC_STEPS = 4  # fewer do not tell what is systematic
SYSTEMATIC_QUANTILE = {"lenet": 0.25, "resnet18": 0.0}  # few steps of a ResNet have no ReLU at zero

Command = Callable[[str], Sequence[str]]  # a framework's name -> what starts its tracing process


@dataclass(frozen=True)
class Bound:
    """Largest difference allowed at a step: ``base * growth ** (step - 1)``, never above ``ceiling``."""

    base: float
    growth: float = 1.0
    ceiling: float = float("inf")

    def at(self, step: int) -> float:
        """The bound at a step; steps count from 1, and 0 is before the first."""
        return min(self.base * self.growth ** max(step - 1, 0), self.ceiling)


@dataclass(frozen=True)
class Difference:
    """The largest difference of one quantity over all its tensors, at one step."""

    step: int
    quantity: str
    tensor: str  # empty for loss and logits
    value: float
    bound: float

    @property
    def within(self) -> bool:
        """Whether it is rounding. A NaN is not."""
        return self.value <= self.bound


@dataclass(frozen=True)
class Comparison:
    """One workload, optimizer and precision."""

    frameworks: tuple[str, str]
    workload: str
    optimizer: str
    precision: str
    steps: int
    worst: tuple[Difference, ...]  # per quantity, where it came nearest to its bound, or went farthest beyond
    failure: Difference | None  # where it failed first

    @property
    def equal(self) -> bool:
        """Whether nothing was beyond its bound."""
        return self.failure is None

    def as_record(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "equal": self.equal}


def compare(
    workload: Workload,
    optimizer: Optimizer,
    precision: TracePrecision,
    *,
    frameworks: tuple[str, str],
    steps: int = STEPS,
    threads: int = 1,
    command: Command | None = None,
    on_step: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Run both frameworks side by side for some steps and compare everything they compute.

    Parameters
    ----------
    workload
        Its data set must be in the cache.
    frameworks
        The two; the first is the reference.
    command
        What starts a framework's process instead of `trainables.verify.trace`; for tests that break one side.
    on_step
        Called with the number of every step that was compared.

    Raises
    ------
    RuntimeError
        When a process fails; the message is its last line.
    """
    tensors = MODELS[workload.model]()
    data = load(workload.dataset)["train"]
    order = sample_order(seed=SEED, epoch=0, samples=len(data))
    bounds = bounds_for(workload.model, precision)
    rows: list[Difference] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tuneoff-verify-")))
        request = {
            "model": workload.model,
            "learning_rate": learning_rate(workload.model, optimizer),
            "optimizer": optimizer,
            "momentum": MOMENTUM,
            "weight_decay": WEIGHT_DECAY,
            "precision": precision,
            "threads": threads,
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        np.savez(folder / "parameters.npz", **initial_parameters(tensors, seed=SEED))  # type: ignore[arg-type]
        started = [stack.enter_context(_process(name, folder, command or _command)) for name in frameworks]
        synchronized = precision == "float32" and workload.model not in FREE_RUNNING_IN_FLOAT32
        reference: Arrays = {}
        for step in range(steps + 1):
            if step > 0:
                state_file(folder, step - 1).unlink(missing_ok=True)
                if synchronized:
                    state = {key.partition("/")[2]: array for key, array in reference.items() if PARAMETER in key}
                    np.savez(state_file(folder, step), **state)  # type: ignore[arg-type]
                chosen = order[(step - 1) * BATCH_SIZE % (len(data) - BATCH_SIZE) :][:BATCH_SIZE]
                np.savez(folder / f"batch-{step}.npz", images=data.images[chosen], labels=data.labels[chosen])
                for process in started:
                    process.ask(step)
            reference, other = (process.answer(step) for process in started)
            rows += differences(step, reference, other, tensors, bounds)
            on_step(step)
            if not all(row.within for row in rows):
                break
    if precision == "float32" and rows[-1].step >= SYSTEMATIC_STEPS:
        rows += _systematic(rows, bounds[SYSTEMATIC], SYSTEMATIC_QUANTILE[workload.model])
    return Comparison(frameworks, workload.name, optimizer, precision, steps, _worst(rows), _first_failure(rows))


def differences(
    step: int, ours: Arrays, theirs: Arrays, tensors: tuple[TensorSpec, ...], bounds: dict[str, Bound]
) -> list[Difference]:
    """The difference of every tensor at one step.

    Raises
    ------
    RuntimeError
        When the two sides have not the same tensors of the same shapes.
    """
    if list(ours) != list(theirs):
        raise RuntimeError(f"the frameworks hold different tensors: {sorted(set(ours) ^ set(theirs)) or 'other order'}")
    trained = {tensor.name: tensor.trained for tensor in tensors}
    found = []
    for key in ours:
        quantity, _, tensor = key.partition("/")
        if ours[key].shape != theirs[key].shape:
            raise RuntimeError(f"{key} has shape {ours[key].shape} on one side and {theirs[key].shape} on the other")
        if quantity == PARAMETER:
            quantity = INITIAL if step == 0 else PARAMETER if trained[tensor] else STATISTIC
        value = relative_difference(ours[key], theirs[key])
        found.append(Difference(step, quantity, tensor, value, bounds[quantity].at(step)))
    return found


def relative_difference(ours: Any, theirs: Any) -> float:
    """Largest absolute difference over the largest magnitude; NaN when either side has one."""
    scale = max(np.abs(ours).max(), np.abs(theirs).max())
    return float(np.abs(ours - theirs).max() / scale) if scale != 0 else 0.0


def learning_rate(model: str, optimizer: Optimizer) -> float:
    """Small enough that training is not chaotic: otherwise rounding grows to everything within 50 steps."""
    return {("lenet", "sgd"): 0.01, ("lenet", "adam"): 1e-3, ("resnet18", "sgd"): 0.005, ("resnet18", "adam"): 1e-4}[
        model, optimizer
    ]


def bounds_for(model: str, precision: TracePrecision) -> dict[str, Bound]:
    """How large a difference is still rounding; measured values are of PyTorch 2.15 and Flux 0.16.9 on an x86 CPU.

    float64: 1e-9 throughout, and the initial parameters are equal. Measured over 50 free steps: 1e-14 (LeNet), 1e-11
    (ResNet-18). Anything else than the same formula is larger by orders of magnitude.

    float32: one ReLU whose input lies within rounding of zero is open on one side and shut on the other, now and then;
    the gradients behind it then differ much at that step (measured 0.45: ResNet's last stage has as many activations a
    channel as the batch has samples). So a single step's gradients have a wide bound, and the sharp check is the
    *systematic* gradient: a tensor's lower quartile (ResNets: smallest) over the steps, which an occasional ReLU does
    not reach and a difference in the computation does, being there at every step (NNlib's own max-pooling: 1e-2 in
    LeNet). What does not pass through such a ReLU, loss, logits and BatchNorm statistics, has sharp bounds at every
    step. They grow with the step where both sides run free (LeNet). A ResNet with batches of 32 amplifies rounding to
    everything within ten steps, in one framework as between two, so there every step starts from the reference's
    parameters.
    """
    if precision == "float64":
        return {quantity: Bound(1e-9) for quantity in QUANTITIES} | {INITIAL: Bound(0.0)}
    if model in FREE_RUNNING_IN_FLOAT32:
        return {
            INITIAL: Bound(0.0),
            LOGITS: Bound(1e-5, growth=1.1),  # 1e-3 at step 50; measured 2e-7 to 2e-5
            LOSS: Bound(1e-5, growth=1.1),
            GRADIENT: Bound(0.5),
            SYSTEMATIC: Bound(1e-4),  # measured 2e-6
            PARAMETER: Bound(
                1e-4, growth=1.1
            ),  # measured 2e-7 (SGD), 2e-5 (Adam, whose first steps are +-learning rate)
            STATISTIC: Bound(0.0),  # there are none
        }
    return {
        INITIAL: Bound(0.0),
        LOGITS: Bound(2e-4),  # measured 2e-5; 3e-6 within PyTorch: Flux sums BatchNorm's moments one after the other
        LOSS: Bound(2e-5),
        GRADIENT: Bound(1.0),  # a wrong sign gives 2, another kernel 1.4; measured 0.45
        SYSTEMATIC: Bound(2e-4),  # measured 5e-6 to 3e-5
        PARAMETER: Bound(1.0),  # BatchNorm's biases start at zero, so a first step is all there is; measured 0.31
        STATISTIC: Bound(5e-5),  # measured 3e-6
    }


def sources_digest() -> str:
    """SHA-256 over the files that decide what is computed, so that a certificate fits only them."""
    digest = hashlib.sha256()
    for name in traced():
        for file in framework(name).files():
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _systematic(rows: list[Difference], bound: Bound, quantile: float) -> list[Difference]:
    """For every tensor this quantile, over the steps, of its gradient's differences."""
    found = []
    for tensor in dict.fromkeys(row.tensor for row in rows if row.quantity == GRADIENT):
        of_tensor = sorted((row for row in rows if row.quantity == GRADIENT and row.tensor == tensor), key=_size)
        chosen = of_tensor[int(quantile * (len(of_tensor) - 1))]
        found.append(replace(chosen, quantity=SYSTEMATIC, bound=bound.at(chosen.step)))
    return found


def _size(row: Difference) -> float:
    return row.value if isfinite(row.value) else inf


def _worst(rows: list[Difference]) -> tuple[Difference, ...]:
    def badness(row: Difference) -> float:
        if not isfinite(row.value) or (row.value and not row.bound):
            return inf
        return row.value / row.bound if row.bound else 0.0

    worst = []
    for quantity in QUANTITIES:
        of_quantity = [row for row in rows if row.quantity == quantity]
        if of_quantity:
            worst.append(max(of_quantity, key=badness))
    return tuple(worst)


def _first_failure(rows: list[Difference]) -> Difference | None:
    """Of the first step with a failure, the first quantity in `QUANTITIES`, its farthest tensor."""
    failed = [row for row in rows if not row.within]
    if not failed:
        return None
    step = min(row.step for row in failed)
    of_step = [row for row in failed if row.step == step]
    named = [row for row in of_step if row.tensor] or of_step  # loss and logits name no tensor
    first = min(QUANTITIES.index(row.quantity) for row in named)
    of_quantity = [row for row in named if QUANTITIES.index(row.quantity) == first]
    return max(of_quantity, key=_size)


def _command(_: str) -> Sequence[str]:
    return python("trainables.verify.trace")


@dataclass
class _Process:
    name: str
    folder: Path
    popen: subprocess.Popen[bytes]
    pipe: Connection
    errors: IO[str]

    def ask(self, step: int) -> None:
        try:
            self.pipe.send(step)
        except OSError:
            self._fail()

    def answer(self, step: int) -> Arrays:
        """Wait for a step's arrays; the file is gone afterwards."""
        try:
            if not self.pipe.poll(STEP_S):
                raise RuntimeError(f"the {self.name} side gave no answer in {STEP_S:g} s")
            done = self.pipe.recv()
        except (EOFError, OSError):
            self._fail()
        assert done == step
        path = step_file(self.folder, self.name, step)
        with np.load(path) as arrays:
            found = dict(arrays)
        path.unlink()
        return found

    def _fail(self) -> NoReturn:
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(END_S)
        self.errors.seek(0)
        said = telling(self.errors.read())
        raise RuntimeError(f"the {self.name} side failed: {said or f'exit code {self.popen.returncode}'}")


@contextmanager
def _process(name: str, folder: Path, command: Command) -> Iterator[_Process]:
    ours, theirs = Pipe()
    arguments = [*command(name), str(folder), name, str(theirs.fileno())]
    with (folder / f"{name}.err").open("w+", encoding="utf-8", errors="replace") as errors:
        popen = subprocess.Popen(arguments, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=errors)
        theirs.close()
        try:
            yield _Process(name, folder, popen, ours, errors)
        finally:
            popen.kill()
            popen.wait()
            ours.close()


__all__ = ["Comparison", "Difference", "bounds_for", "compare", "sources_digest"]
