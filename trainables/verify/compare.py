"""The proof that two frameworks compute the same training: the same weights and batches through both, step by step.

Each framework steps in a process of its own (torch and Julia must not share one); arrays travel through files. For
every step the largest relative difference of each quantity is taken: max |a - b| over a tensor, divided by the largest
magnitude in it. In float64 a difference is the formula or it is nothing; in float32 the code that real trainings run is
checked, with the rounding that float32 brings. The learning rate is another at every step (a one-cycle schedule), since
that is where formulas of momentum part.

Where a step differs, the layer in which the two part is found by what goes into each: the first that gets something
else follows the culprit.
"""

from __future__ import annotations

import hashlib
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
from trainables.contract import Hyperparameters, Optimizer, TracePrecision
from trainables.determinism import sample_order
from trainables.frameworks import framework, traced
from trainables.verify.trace import (
    GRADIENT,
    LOSS,
    OUTPUTS,
    PARAMETER,
    Arrays,
    Request,
    batch_file,
    fault_file,
    state_file,
    step_file,
)
from trainables.workloads.prepared import load, outputs_of
from trainables.workloads.workload import Workload

STEPS = 50
BATCH_SIZE = 32
SEED = 0
STEP_S = 900.0  # without an answer for so long, a side hangs; the first one compiles
END_S = 10.0  # for a side that hung up to end
# Every optimizer's formula; and in float32, what trainings run, those that most of them use.
KINDS: tuple[tuple[Optimizer, TracePrecision], ...] = (
    ("sgd", "float64"),
    ("nesterov", "float64"),
    ("adam", "float64"),
    ("adamw", "float64"),
    ("sgd", "float32"),
    ("adam", "float32"),
)
# At its highest; small enough that training is not chaotic: otherwise rounding grows to everything within 50 steps.
LEARNING_RATES: dict[Optimizer, float] = {"sgd": 0.005, "nesterov": 0.005, "adam": 1e-4, "adamw": 1e-4}
INITIAL, STATISTIC, SYSTEMATIC = "initial parameter", "statistic", "systematic gradient"
OUTPUT = "output"  # of a layer: the one before the first that gets something else
QUANTITIES = (INITIAL, OUTPUT, OUTPUTS, LOSS, STATISTIC, GRADIENT, SYSTEMATIC, PARAMETER)  # as an error would spread
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
SYSTEMATIC_STEPS = 4  # fewer do not tell what is systematic

Command = Callable[[str], Sequence[str]]  # a framework's name -> what starts its tracing process


@dataclass(frozen=True)
class Difference:
    """The largest difference of one quantity over all its tensors, at one step."""

    step: int
    quantity: str
    tensor: str  # empty for loss and outputs; of an output, the layer
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
    data = load(workload)["train"]
    size = min(BATCH_SIZE, len(data))
    order = sample_order(seed=SEED, epoch=0, samples=len(data))
    bounds = BOUNDS[precision]
    knobs = Hyperparameters(
        learning_rate=LEARNING_RATES[optimizer],
        batch_size=size,
        num_workers=0,
        optimizer=optimizer,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
        schedule="one_cycle",
        options=dict(workload.options),
    )
    request = Request(
        workload=str(workload.folder),
        sample_shape=data.features.shape[1:],
        outputs=outputs_of(data, workload.loss),
        hyperparameters=knobs,
        seed=SEED,
        precision=precision,
        threads=threads,
        steps=steps,
    )
    rows: list[Difference] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tuneoff-verify-")))
        (folder / "request.json").write_text(request.to_json(), encoding="utf-8")
        sides = [stack.enter_context(_process(name, folder, command or _command)) for name in frameworks]
        reference = _begin(folder, sides)
        for step in range(steps + 1):
            if step > 0:
                chosen = order[(step - 1) * size % max(1, len(data) - size) :][:size]
                np.savez(batch_file(folder, step), features=data.features[chosen], targets=data.targets[chosen])
                if precision == "float32":  # from the same parameters, at every step
                    _write_state(folder, step, reference)
                for side in sides:
                    side.ask(step)
            before, (reference, other) = reference, [side.answer(step) for side in sides]
            found = differences(step, reference, other, bounds)
            rows += found
            on_step(step)
            if not all(row.within for row in found):
                if step > 0:
                    rows += _where_they_part(folder, sides, step, before, bounds[OUTPUTS])
                break
            state_file(folder, step).unlink(missing_ok=True)
    if precision == "float32" and rows[-1].step >= SYSTEMATIC_STEPS:
        rows += _systematic(rows, bounds[SYSTEMATIC])
    return Comparison(frameworks, workload.name, optimizer, precision, steps, _worst(rows), _first_failure(rows))


def _begin(folder: Path, sides: Sequence[_Process]) -> Arrays:
    """The parameters that the reference drew, with which the others are asked to begin."""
    sides[0].ask(0)
    drawn = sides[0].answer(0)
    _write_state(folder, 0, drawn)
    for side in sides:
        side.ask(0)
    return drawn


def _write_state(folder: Path, step: int, arrays: Arrays) -> None:
    state = {key.partition("/")[2]: array for key, array in arrays.items() if key.startswith(f"{PARAMETER}/")}
    np.savez(state_file(folder, step), **state)  # type: ignore[arg-type]


def _where_they_part(
    folder: Path, sides: Sequence[_Process], step: int, before: Arrays, bound: float
) -> list[Difference]:
    """The first layer whose input differs, told under the name of the layer before it; none where all are the same."""
    _write_state(folder, step, before)
    for side in sides:
        side.ask(-step)
    ours, theirs = (side.answer(-step) for side in sides)
    giving: list[str] = []  # what gave the array that is looked at; several, where one side alone calls some of them
    for key, array in ours.items():
        layer = key.partition("/")[2]
        if key in theirs:
            same_shape = array.shape == theirs[key].shape
            value = relative_difference(array, theirs[key]) if same_shape else inf
            if not value <= bound:
                return [Difference(step, OUTPUT, " or ".join(giving) or layer, value, bound)]
            giving = []
        giving.append(layer)
    return []


def differences(step: int, ours: Arrays, theirs: Arrays, bounds: dict[str, float]) -> list[Difference]:
    """The difference of every tensor at one step.

    Raises
    ------
    RuntimeError
        When the two sides have not the same tensors of the same shapes.
    """
    if list(ours) != list(theirs):
        raise RuntimeError(f"the frameworks hold different tensors: {sorted(set(ours) ^ set(theirs)) or 'other order'}")
    found = []
    for key in ours:
        quantity, _, tensor = key.partition("/")
        if ours[key].shape != theirs[key].shape:
            raise RuntimeError(f"{key} has shape {ours[key].shape} on one side and {theirs[key].shape} on the other")
        if quantity == PARAMETER:
            quantity = INITIAL if step == 0 else PARAMETER if f"{GRADIENT}/{tensor}" in ours else STATISTIC
        value = relative_difference(ours[key], theirs[key])
        found.append(Difference(step, quantity, tensor, value, bounds[quantity]))
    return found


def relative_difference(ours: Any, theirs: Any) -> float:
    """Largest absolute difference over the largest magnitude; NaN when either side has one."""
    scale = max(np.abs(ours).max(), np.abs(theirs).max())
    return float(np.abs(ours - theirs).max() / scale) if scale != 0 else 0.0


# How large a difference is still rounding; measured values are of PyTorch 2.15 and Flux 0.16.9 on an x86 CPU.
#
# float64: 1e-9 throughout, and the initial parameters are equal. Measured over 50 free steps: 1e-14 (LeNet), 1e-11
# (ResNet-18). Anything else than the same formula is larger by orders of magnitude.
#
# float32: every step starts from the reference's parameters, since a ResNet with batches of 32 amplifies rounding to
# everything within ten steps, in one framework as between two. One ReLU whose input lies within rounding of zero is
# open on one side and shut on the other, now and then; the gradients behind it then differ much at that step (measured
# 0.45: ResNet's last stage has as many activations a channel as the batch has samples). So a single step's gradients
# have a wide bound, and the sharp check is the *systematic* gradient: a tensor's smallest difference over the steps,
# which an occasional ReLU does not reach and a difference in the computation does, being there at every step (NNlib's
# own max-pooling: 1e-2 in LeNet). What does not pass through such a ReLU, loss, outputs and BatchNorm statistics, has
# sharp bounds at every step.
BOUNDS: dict[TracePrecision, dict[str, float]] = {
    "float64": dict.fromkeys(QUANTITIES, 1e-09) | {INITIAL: 0.0},
    "float32": {
        INITIAL: 0.0,
        OUTPUTS: 2e-4,  # measured 2e-5; 3e-6 within PyTorch: Flux sums BatchNorm's moments one after the other
        LOSS: 2e-5,
        GRADIENT: 1.0,  # a wrong sign gives 2, another kernel 1.4; measured 0.45
        SYSTEMATIC: 2e-4,  # measured 5e-6 to 3e-5
        PARAMETER: 1.0,  # BatchNorm's biases start at zero, so a first step is all there is; measured 0.31
        STATISTIC: 5e-5,  # measured 3e-6
    },
}


def sources_digest() -> str:
    """SHA-256 over the files that decide what is computed, so that a certificate fits only them."""
    digest = hashlib.sha256()
    for name in traced():
        for file in framework(name).files():
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _systematic(rows: list[Difference], bound: float) -> list[Difference]:
    """For every tensor the smallest of its gradient's differences over the steps."""
    gradients: dict[str, list[Difference]] = {}
    for row in rows:
        if row.quantity == GRADIENT:
            gradients.setdefault(row.tensor, []).append(row)
    smallest = [min(of_tensor, key=_size) for of_tensor in gradients.values()]
    return [replace(row, quantity=SYSTEMATIC, bound=bound) for row in smallest]


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
    """Of the first step with a failure, the first quantity in `QUANTITIES` that names a tensor, its farthest one."""
    failed = [row for row in rows if not row.within]
    if not failed:
        return None
    step = min(row.step for row in failed)
    of_step = [row for row in failed if row.step == step]
    named = [row for row in of_step if row.tensor] or of_step
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
        fault = fault_file(self.folder, self.name)
        said = fault.read_text(encoding="utf-8") if fault.exists() else telling(self.errors.read())
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


__all__ = ["Comparison", "Difference", "compare", "sources_digest"]
