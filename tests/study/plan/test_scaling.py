"""The learning rate that is searched, and the one that runs."""

import numpy as np
import pytest

from study.plan.scaling import Scaling, same

POINT = {"learning_rate": 0.1, "batch_size": 256, "num_workers": 0}


def test_the_actual_rate_follows_the_batch_size() -> None:
    assert Scaling("linear", 64).actual(POINT) == {**POINT, "learning_rate": 0.4}
    assert Scaling("sqrt", 64).actual(POINT) == {**POINT, "learning_rate": 0.2}
    assert Scaling("linear", 256).actual(POINT) == POINT
    assert Scaling("none", 64).actual(POINT) == POINT


def test_a_base_is_the_draw_that_stands_for_a_configuration() -> None:
    random = np.random.default_rng(0)
    for name in ("linear", "sqrt"):
        for size in (1, 16, 48, 100, 2048):
            for rate in random.uniform(1e-4, 1, 20).tolist():
                scaling = Scaling(name, 64)
                base = scaling.base({"learning_rate": rate, "batch_size": size})
                assert same(scaling.actual(base)["learning_rate"], rate)


@pytest.mark.parametrize("name", ["none", "linear"])
def test_what_has_no_batch_size_stays_as_it_is(name: str) -> None:
    scaling = Scaling(name, 64)  # type: ignore[arg-type]
    assert scaling.actual({"hidden": 4}) == {"hidden": 4} == scaling.base({"hidden": 4})


def test_values_are_the_same_but_for_last_digits_of_floats() -> None:
    assert same(0.1 + 0.2, 0.3)
    assert not same(0.3, 0.3001)
    assert same("adam", "adam")
    assert not same(16, 32)
