"""``make gpu-check``: whether this version trains on this machine's GPU, and how fast. No network.

Exit code 0: pass; 1: fail; 2: no GPU that PyTorch can use. ``--device cpu`` rehearses it where there is none.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from study.store.provenance import package_version
from trainables.contract import Device, Execution, Hyperparameters, Samples, Setup, Split
from trainables.determinism import sample_order
from trainables.frameworks import framework
from trainables.spec import TrainingSpec
from trainables.training import Training, run_to_end
from trainables.workloads.prepared import load
from trainables.workloads.workload import find

NO_GPU = 2
LENET_TARGET, RESNET_TARGET = 0.95, 0.9  # validation accuracy on digits
LENET_EPOCHS, RESNET_EPOCHS = 40, 8
BATCH_SIZE = 512
SAMPLES = {"lenet": 60_000, "resnet18": 20_000}
FLOOR = 0.9  # of a plain loop's samples per second


@dataclass(frozen=True)
class Check:
    """One line of the answer."""

    what: str
    good: bool
    found: str


def main(arguments: list[str] | None = None) -> int:
    """Print a line per check and one that says pass or fail; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_check")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a rehearsal, which takes long")
    device: Device = parser.parse_args(arguments).device
    if device == "cuda":
        seen = framework("pytorch").examine(device="cuda")
        if not seen.devices:
            print(f"gpu-check: nothing was checked: PyTorch sees {seen.broken or seen.gpus} here")
            return NO_GPU
        print(f"gpu-check on {seen.gpus}, torch {package_version('torch')}", flush=True)
    failed = [each.what for each in _told(checks(device))]
    print(f"gpu-check: {'fail: ' + ', '.join(failed) if failed else 'pass'}")
    return 1 if failed else 0


def checks(device: Device) -> Iterator[Check]:
    """All of them, one after the other; tests before the GPU is used here, in a process of their own."""
    yield tests(device)
    yield lenet(device)
    yield resnet(load(find("digits-lenet")), device, target=RESNET_TARGET, epochs=RESNET_EPOCHS)
    for model in SAMPLES:
        yield throughput(model, device, SAMPLES[model])


def tests(device: Device) -> Check:
    """Those that are marked gpu; all of them must run."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (answer.stdout.strip().splitlines() or [answer.stderr.strip()[-200:]])[-1].strip("= ")
    good = answer.returncode == 0 and "passed" in last and (device == "cpu" or "skipped" not in last)
    return Check("tests marked gpu", good or device == "cpu", last)


def lenet(device: Device, *, target: float = LENET_TARGET, epochs: int = LENET_EPOCHS) -> Check:
    """LeNet on digits as a study trains it, what NVML tells included."""
    knobs = Hyperparameters(learning_rate=0.05, batch_size=64, num_workers=0)
    spec = TrainingSpec(
        "pytorch", "digits-lenet", knobs, 0, target, 1079, limit_s=120.0, epochs=epochs, device=device, threads=1
    )
    result = run_to_end(Training(spec))
    accuracy, seconds = result["best_validation_accuracy"], result["train_s"]
    told = ", ".join(f"{key} {result[key]}" for key in ("gpu", "gpu_clock_mhz", "gpu_throttled") if result.get(key))
    found = f"{accuracy:.1%} after {result['epochs']} epochs, {seconds:.2f} s; {told or 'nothing from NVML'}"
    return Check("LeNet on digits", result["outcome"] == "reached", found)


def resnet(data: Mapping[Split, Samples], device: Device, *, target: float, epochs: int) -> Check:
    """ResNet-18 on digits, which is no workload: straight through the backend."""
    knobs = Hyperparameters(learning_rate=0.02, batch_size=64, num_workers=0)
    run = framework("pytorch").start()(
        Setup(
            model=find("mnist-resnet18").models["python"],
            data=data,
            outputs=10,
            loss="cross_entropy",
            hyperparameters=knobs,
            execution=Execution(),
            seed=0,
            device=device,
            threads=1,
        )
    )
    run.warm_up()
    run.reset(None)
    samples, accuracy, began, epoch = len(data["train"]), 0.0, time.perf_counter(), 0
    while accuracy < target and epoch < epochs:
        run.begin_epoch(sample_order(seed=0, epoch=epoch, samples=samples))
        run.train(np.full(-(-samples // 64), knobs.learning_rate))
        accuracy, epoch = run.evaluate("validation").accuracy or 0.0, epoch + 1
    run.close()
    found = f"{accuracy:.1%} after {epoch} epochs, {time.perf_counter() - began:.2f} s"
    return Check("ResNet-18 on digits", accuracy >= target, found)


def throughput(model: str, device: Device, samples: int) -> Check:
    """Samples per second, beside a plain loop over the same arrays."""
    from tests.bench.throughput import backend_epoch, compared, plain_batches, plain_epoch

    random = np.random.RandomState(0)
    arrays = Samples(random.rand(samples, 1, 28, 28).astype(np.float32), random.randint(0, 10, samples))
    mine = backend_epoch(arrays, BATCH_SIZE, 0, model=model, device=device)
    plain = plain_epoch(plain_batches(arrays, BATCH_SIZE), model=model, device=device)
    row = compared("a plain loop", BATCH_SIZE, 0, mine, plain, FLOOR, samples)
    found = f"{row['mine']} beside a plain loop's {row['other']}: {row['ratio']:.2f}, want {row['want']}"
    return Check(f"{model}, samples per second, batch {BATCH_SIZE}", bool(row["good"]), found)


def _told(each: Iterator[Check], say: Callable[[str], None] = print) -> Iterator[Check]:
    """Say every check as it ends; the bad ones."""
    for check in each:
        say(f"{'  ok' if check.good else 'FAIL'}  {check.what}: {check.found}")
        if not check.good:
            yield check


if __name__ == "__main__":
    sys.exit(main())
