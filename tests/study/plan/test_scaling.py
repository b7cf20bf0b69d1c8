"""The learning rate that is searched, and the one that runs."""

from math import nextafter

import numpy as np
import pytest

from study.plan.files import load_plan
from study.plan.first import first_draws
from study.plan.scaling import Scaling, same
from trainables.common.errors import UserError

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


@pytest.mark.parametrize("scaling", ["sqrt", "linear"])
@pytest.mark.parametrize(
    ("point", "message"),
    [
        ('learning_rate="fast",batch_size=32', "learning_rate = 'fast' is outside the search space$"),
        ("learning_rate=0.05,batch_size=0", "batch_size = 0 is outside the search space$"),
        ("learning_rate=0.05,batch_size=-32", "batch_size = -32 is outside the search space$"),
        ('learning_rate=0.05,batch_size="small"', "batch_size = 'small' is outside the search space$"),
        ("learning_rate=0.05,batch_size=true", "batch_size = true is outside the search space$"),
        ("learning_rate=0.9,batch_size=32", "learning_rate = 0.9 is outside the search space, where it is drawn as"),
    ],
)
@pytest.mark.parametrize("key", ["search.initial_points={}", "search.warm_start={{simulated={}}}"])
def test_a_point_that_no_search_could_draw_is_refused_as_it_was_written(
    scaling: str, point: str, message: str, key: str
) -> None:
    settings = [f"search.learning_rate_scaling={scaling}", key.format(f"[{{{point},num_workers=0}}]")]
    with pytest.raises(UserError, match=message):
        load_plan("quickstart", settings=settings, frameworks=["simulated"])


@pytest.mark.parametrize("size", [16, 32, 128])
@pytest.mark.parametrize("end", [0.005, 0.1])
def test_a_point_at_an_end_of_the_space_is_within_it(size: int, end: float) -> None:
    """To its base and back a rate may lose its last digit."""
    scaling = "search.learning_rate_scaling=sqrt"
    actual = load_plan("quickstart", settings=[scaling], frameworks=["simulated"]).scaling.actual(
        {"learning_rate": end, "batch_size": size, "num_workers": 0}
    )
    for rate in (actual["learning_rate"], nextafter(actual["learning_rate"], 0), nextafter(actual["learning_rate"], 1)):
        said = f"search.initial_points=[{{learning_rate={rate!r},batch_size={size},num_workers=0}}]"
        plan = load_plan("quickstart", settings=[scaling, said], frameworks=["simulated"])
        assert first_draws(plan, "simulated", {})[0]["learning_rate"] == end
