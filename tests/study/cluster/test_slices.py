from __future__ import annotations

import pytest

from study.cluster.slices import slices_that_fit
from study.plan.plan import SlicePlan

NODES = [{"CPU": 4.0, "GPU": 1.0}, {"CPU": 16.0}, {"CPU": 8.0, "GPU": 4.0}]


@pytest.mark.parametrize(
    ("cpus", "gpus", "fits"),
    [(1, 0, 28), (3, 0, 8), (16, 0, 1), (17, 0, 0), (1, 1, 5), (4, 1, 3), (4, 2, 2), (8, 4, 1), (9, 1, 0), (1, 5, 0)],
)
def test_slices_never_span_nodes(cpus: int, gpus: int, fits: int) -> None:
    assert slices_that_fit(SlicePlan(cpus=cpus, gpus=gpus, max_concurrent=0), NODES) == fits
