"""The shipped workloads train as they did before a workload was a folder: the same seeds, the same evaluations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F

from trainables.contract import Hyperparameters, Optimizer
from trainables.determinism import sample_order
from trainables.pytorch.building import initialized
from trainables.spec import TrainingSpec
from trainables.training import Training
from trainables.workloads.prepared import load
from trainables.workloads.workload import find

SEED, BATCH, CADENCE, DECAY = 7, 64, 539, 5e-4
RATES: dict[Optimizer, float] = {"sgd": 0.02, "adam": 0.001}
# Samples, mean training loss, validation accuracy and loss at every evaluation, as the version before computed them
# (PyTorch 2.15, one thread of an AMD EPYC); another CPU adds in another order.
THEN: dict[Optimizer, list[tuple[int, float, float, float]]] = {
    "sgd": [
        (576, 2.2995417382982044, 0.07520891364902507, 2.3095306991534645),
        (1079, 2.3004937598529915, 0.07520891364902507, 2.3081357313065807),
        (1655, 2.2864373524983725, 0.16434540389972144, 2.306204028116295),
        (2158, 2.281301646298964, 0.1671309192200557, 2.30176869341922),
    ],
    "adam": [
        (576, 2.2819473213619657, 0.1309192200557103, 2.277691769400679),
        (1079, 2.221586238792829, 0.2785515320334262, 2.189739089158252),
        (1655, 2.0143228239483304, 0.44846796657381616, 1.9413673167109158),
        (2158, 1.6362519159942688, 0.5431754874651811, 1.503255775047876),
    ],
}


def now(optimizer: Optimizer, num_workers: int) -> list[tuple[int, float | None, float | None, float | None]]:
    spec = TrainingSpec(
        framework="pytorch",
        workload="digits-lenet",
        hyperparameters=Hyperparameters(RATES[optimizer], BATCH, num_workers, optimizer, 0.9, DECAY),
        seed=SEED,
        target=1.0,
        evaluate_every_samples=CADENCE,
        limit_s=1e9,
        epochs=2,
        device="cpu",
        threads=1,
    )
    training, found = Training(spec), []
    try:
        while not training.finished:
            each = training.advance()
            found.append((each.samples, each.train_loss, each.validation_accuracy, each.validation_loss))
    finally:
        training.close()
    return found


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_evaluations_are_what_they_were(optimizer: Optimizer, num_workers: int) -> None:
    for mine, theirs in zip(now(optimizer, num_workers), THEN[optimizer], strict=True):
        samples, train_loss, accuracy, loss = theirs
        assert mine[0] == samples
        assert mine[1] == pytest.approx(train_loss, rel=2e-3)
        assert mine[2] == pytest.approx(accuracy, abs=3 / 359)
        assert mine[3] == pytest.approx(loss, rel=2e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_evaluations_are_those_of_a_loop_that_one_writes_by_hand(optimizer: Optimizer) -> None:
    """To the bit, on any CPU; sums of losses in another order."""
    for mine, theirs in zip(now(optimizer, 0), by_hand(optimizer), strict=True):
        assert (mine[0], *mine[2:]) == (theirs[0], *theirs[2:])
        assert mine[1] == pytest.approx(theirs[1], rel=1e-12)


def by_hand(optimizer: Optimizer) -> Iterator[tuple[int, float, float, float]]:
    workload = find("digits-lenet")
    data = {split: (each.features.copy(), each.targets.copy()) for split, each in load(workload).items()}
    features, targets = map(torch.from_numpy, data["train"])
    model = initialized(workload.models["python"], {}, SEED)
    if optimizer == "sgd":
        steps = torch.optim.SGD(model.parameters(), lr=RATES["sgd"], momentum=0.9, weight_decay=DECAY, fused=True)
    else:
        steps = torch.optim.Adam(model.parameters(), lr=RATES["adam"], weight_decay=DECAY, fused=True)
    torch.set_num_threads(1)
    seen, since, losses = 0, 0, 0.0
    for epoch in range(2):
        order = torch.from_numpy(sample_order(seed=SEED, epoch=epoch, samples=len(targets)))
        for chosen in order.split(BATCH):
            model.train()
            steps.zero_grad()
            loss = F.cross_entropy(model(features[chosen]), targets[chosen])
            loss.backward()
            steps.step()
            losses, since, before, seen = (
                losses + (loss.detach() * len(chosen)).item(),
                since + len(chosen),
                seen,
                seen + len(chosen),
            )
            if seen // CADENCE > before // CADENCE or seen == 2 * len(targets):
                yield seen, losses / since, *scores(model.eval(), *map(torch.from_numpy, data["validation"]))
                since, losses = 0, 0.0


def scores(model: torch.nn.Module, features: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    correct, loss = 0, torch.zeros(())
    with torch.no_grad():
        for some, wanted in zip(features.split(250), targets.split(250), strict=True):
            outputs = model(some)
            correct += int((outputs.argmax(1) == wanted).sum())
            loss += F.cross_entropy(outputs, wanted, reduction="sum")
    return correct / len(targets), loss.item() / len(targets)
