"""Which tensor of a Flux model is which of PyTorch's; no Julia and no torch is needed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from trainables.flux.matching import Tensor, listed, matched

MLP = {"0.weight": (32, 8), "0.bias": (32,), "3.weight": (5, 32), "3.bias": (5,)}


Shapes = Mapping[str, tuple[int, ...]]


def flux(shapes: Shapes) -> list[Tensor]:
    return [Tensor(name, shape, "running" not in name) for name, shape in shapes.items()]


def names(theirs: Shapes, ours: Shapes) -> dict[str, str]:
    return {name: tensor.name for name, tensor in matched(theirs, flux(ours)).items()}


def test_a_list_is_read_as_julia_tells_it() -> None:
    assert listed("conv.weight\t6,1,5,5\ttrained\nbn.running_var\t6\tkept") == (
        Tensor("conv.weight", (6, 1, 5, 5), True),
        Tensor("bn.running_var", (6,), False),
    )
    assert listed("") == ()


def test_same_names_are_matched_whatever_their_order() -> None:
    assert names(MLP, dict(reversed(MLP.items()))) == {name: name for name in MLP}
    square = {"a.weight": (4, 4), "b.weight": (4, 4)}
    assert names(square, {"b.weight": (4, 4), "a.weight": (4, 4)}) == {"a.weight": "a.weight", "b.weight": "b.weight"}


def test_other_names_are_matched_by_position() -> None:
    ours = {"layers.hidden.weight": (32, 8), "layers.hidden.bias": (32,), "out.weight": (5, 32), "out.bias": (5,)}
    assert names(MLP, ours) == dict(zip(MLP, ours, strict=True))


def test_an_array_of_ones_own_may_be_called_anything() -> None:
    assert names({"cls_token": (1, 8), "fc.weight": (2, 8)}, {"token": (1, 8), "out.weight": (2, 8)}) == {
        "cls_token": "token",
        "fc.weight": "out.weight",
    }


@pytest.mark.parametrize(
    ("ours", "first"),
    [
        (
            {"a.weight": (32, 8), "b.weight": (5, 32), "b.bias": (5,)},
            "PyTorch's model has 0.bias 32, which Flux's lacks",
        ),
        ({**MLP, "more.bias": (5,)}, "Flux's model has more.bias 5, which PyTorch's lacks"),
        (
            {**MLP, "3.weight": (32, 5)},
            "PyTorch's model has 3.weight 5x32 where Flux's has 3.weight 32x5",
        ),
        (
            {"a.bias": (32,), "a.weight": (32, 8), "b.weight": (5, 32), "b.bias": (5,)},
            "Flux's model has a.bias 32, which PyTorch's lacks",
        ),
        ({}, "PyTorch's model has 0.weight 32x8, which Flux's lacks"),
    ],
    ids=["missing bias", "one more", "transposed", "other order", "none"],
)
def test_a_mismatch_names_the_first_difference_and_shows_both_lists(ours: Shapes, first: str) -> None:
    with pytest.raises(RuntimeError) as told:
        matched(MLP, flux(ours))
    line, *table = str(told.value).splitlines()
    assert line == f"{first}:"
    assert table[0].split() == ["PyTorch", "Flux"]
    marked = [row for row in table if row.startswith("->")]
    assert len(marked) == 1
    shown = first.replace(", which Flux's lacks", "").replace(", which PyTorch's lacks", "")
    assert shown.split(" has ")[1].split(" where ")[0] in marked[0]
    for name in (*MLP, *ours):
        assert any(name in row for row in table)


def test_statistics_of_equal_shape_do_not_stand_for_each_other() -> None:
    """A BatchNorm with bias and without running statistics against one that has them: all of one shape."""
    theirs = {"bn.weight": (3,), "bn.running_mean": (3,), "bn.running_var": (3,)}
    with pytest.raises(RuntimeError, match=r"PyTorch's model has bn.running_mean 3 where Flux's has 1.bias 3"):
        matched(theirs, flux({"1.weight": (3,), "1.bias": (3,), "1.running_var": (3,)}))
