"""A user's model file: what is drawn for it, and what is wrong with it in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables.pytorch.files import DROPOUT, write
from trainables.pytorch.building import build, draw, problem, set_parameters

IMAGES = np.random.RandomState(0).uniform(size=(4, 1, 28, 28)).astype(np.float32)
ZEROS = np.zeros((4, 3), np.float32)


def line_of(file: Path, words: str) -> int:
    """Number of the first line that has them."""
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if words in line)


def test_initial_parameters_are_what_the_constructor_draws_under_the_seed(tmp_path: Path) -> None:
    file = write(tmp_path, DROPOUT)
    found = draw(file, {"hidden": 5}, 3)
    torch.manual_seed(3)
    first, second = torch.nn.Linear(784, 5), torch.nn.Linear(5, 10)
    assert list(found) == ["1.weight", "1.bias", "4.weight", "4.bias"]
    for array, tensor in zip(found.values(), [*first.parameters(), *second.parameters()], strict=True):
        assert np.array_equal(array, tensor.detach().numpy())


def test_a_constructors_own_initialisation_is_respected_and_initialize_comes_after_it(tmp_path: Path) -> None:
    custom = """
        import torch
        from torch import nn


        class Half(nn.Linear):
            def reset_parameters(self):
                nn.init.constant_(self.weight, 0.5)
                nn.init.normal_(self.bias)


        def build():
            return Half(3, 2)
    """
    found = draw(write(tmp_path / "a", custom), {}, 1)
    assert (found["weight"] == 0.5).all()
    torch.manual_seed(1)
    assert np.array_equal(found["bias"], torch.empty(2).normal_().numpy())
    more = custom + "\n\n        def initialize(model, seed):\n            nn.init.constant_(model.bias, seed)\n"
    found = draw(write(tmp_path / "b", more), {}, 7)
    assert (found["bias"] == 7).all()
    assert (found["weight"] == 0.5).all()


def test_what_lies_beside_the_file_can_be_imported_and_is_not_taken_for_anothers(tmp_path: Path) -> None:
    text = "def build():\n    import parts\n\n    return parts.layer()\n"
    for folder, size in (("a", 2), ("b", 3), ("a", 2)):
        write(
            tmp_path / folder, f"from torch import nn\n\n\ndef layer():\n    return nn.Linear(3, {size})\n", "parts.py"
        )
        assert draw(write(tmp_path / folder, text), {}, 0)["bias"].shape == (size,)


def test_a_file_that_is_changed_is_read_again(tmp_path: Path) -> None:
    for size in (2, 13):
        file = write(tmp_path, f"from torch import nn\n\n\ndef build():\n    return nn.Linear(3, {size})\n")
        assert draw(file, {}, 0)["bias"].shape == (size,)


@pytest.mark.parametrize(
    ("text", "options", "where", "said"),
    [
        ("def build(:\n    pass\n", {}, "def build", "SyntaxError: invalid syntax"),
        ("import no_such_thing\n", {}, "import", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("x = 1\n\ndef build():\n    return undefined\n", {}, "return", "NameError: name 'undefined' is not defined"),
        ("import sys\nsys.exit('no GPU')\n", {}, "sys.exit", "SystemExit: no GPU"),
        ("def build():\n    raise SystemExit\n", {}, "raise", "SystemExit"),
        ("def build():\n    return 3\n", {}, "def build", "build gives an int, and must give a torch.nn.Module"),
        ("def build():\n    pass\n", {}, "def build", "build gives nothing, and must give a torch.nn.Module"),
        (
            "from torch import nn\ndef build(hidden=3, depth=2):\n    return nn.Linear(3, hidden)\n",
            {"hiden": 4},
            "def build",
            "build takes no option 'hiden'; did you mean 'hidden'? valid: hidden, depth",
        ),
        ("def build():\n    pass\n", {"a": 1}, "def build", "build takes no option 'a', and takes none at all"),
        (
            "def build(width):\n    pass\n",
            {},
            "def build",
            "build needs 'width', of which the workload's options say nothing",
        ),
        (
            "from torch import nn\ndef build(width=2):\n    return nn.Linear(3, width)\n",
            {"width": "wide"},
            "return",
            "TypeError: empty()",
        ),
        (
            "from torch import nn\n\ndef build():\n    return nn.Linear(3, 12)\n",
            {},
            "def build",
            "of 4 samples the model makes (4, 12), and the data ask for (4, 10)",
        ),
        (
            "from torch import nn\n\ndef build():\n    return nn.LazyLinear(10)\n",
            {},
            "def build",
            "the size of weight is not known yet; lazy layers cannot be used",
        ),
        (
            "from torch import nn\n\ndef build():\n    return nn.ReLU()\n",
            {},
            "def build",
            "the model has no parameters to",
        ),
        (
            "from torch import nn\n\ndef build():\n    return nn.Linear(3, 10).double()\n",
            {},
            "def build",
            "the model's weight is float64, and must be float32",
        ),
        (
            "from torch import nn\n\nclass Two(nn.Linear):\n    def forward(self, x):\n        return x, x\n\n"
            "def build():\n    return Two(3, 10)\n",
            {},
            "def build",
            "the model gives a tuple, and must give a tensor",
        ),
        (
            "import torch\nfrom torch import nn\n\nclass Nan(nn.Linear):\n    def forward(self, x):\n"
            "        return super().forward(x) * torch.nan\n\ndef build():\n    return Nan(3, 10)\n",
            {},
            "def build",
            "of real samples the model makes a NaN or an infinity",
        ),
        (
            "import torch\nfrom torch import nn\n\ndef build():\n    layer = nn.Linear(3, 10)\n"
            "    nn.init.constant_(layer.bias, torch.inf)\n    return layer\n",
            {},
            "def build",
            "the model's bias holds a NaN or an infinity from the start",
        ),
        (
            "import torch\nfrom torch import nn\n\nclass Wrong(nn.Linear):\n    def forward(self, x):\n"
            "        x = x.flatten(1)\n        return super().forward(x @ torch.ones(4, 4))\n\n"
            "def build():\n    return Wrong(3, 10)\n",
            {},
            "@",
            "RuntimeError: ",
        ),
        (
            "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Linear(5, 10))\n",
            {},
            "def build",
            "the model cannot take samples of shape (3,): RuntimeError: ",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_with_its_name(
    tmp_path: Path, text: str, options: dict[str, object], where: str, said: str
) -> None:
    file = tmp_path / "model.py"
    file.write_text(text)
    found = problem(file, options, ZEROS + 1, 10)  # type: ignore[arg-type]
    assert found is not None
    assert found.startswith(f"{file}, line {line_of(file, where)}: {said}")
    assert "\n" not in found


def test_a_file_without_build_and_no_file_at_all(tmp_path: Path) -> None:
    file = write(tmp_path, "def biuld():\n    pass\n")
    assert problem(file, {}, ZEROS, 10) == f"{file} has no function build, which makes the model"


def test_a_sound_model_has_no_problem_and_zeros_that_make_a_nan_are_none(tmp_path: Path) -> None:
    assert problem(write(tmp_path / "a", DROPOUT), {"dropout": 0.1}, IMAGES, 10) is None
    norm = """
        from torch import nn


        class Norm(nn.Linear):
            def forward(self, x):
                return super().forward(x / x.norm())


        def build():
            return Norm(3, 10)
    """
    file = write(tmp_path / "b", norm)
    assert problem(file, {}, ZEROS, 10) is None
    assert problem(file, {}, ZEROS + 1, 10) is None


def test_parameters_are_set_by_name_and_by_position_where_names_differ(tmp_path: Path) -> None:
    model = build(write(tmp_path, DROPOUT), {"hidden": 4}, 0)
    given = draw(write(tmp_path, DROPOUT), {"hidden": 4}, 5)
    for sent in (given, dict(reversed(given.items())), {f"layer{name}": array for name, array in given.items()}):
        build(write(tmp_path, DROPOUT), {"hidden": 4}, 0)
        set_parameters(model, sent)
        for name, tensor in model.state_dict().items():
            assert np.array_equal(tensor.numpy(), given[name])
            tensor.zero_()


def test_parameters_that_do_not_fit_are_two_lists_side_by_side(tmp_path: Path) -> None:
    model = build(write(tmp_path, DROPOUT), {"hidden": 4}, 0)
    given = draw(write(tmp_path, DROPOUT), {"hidden": 4}, 0)
    given["4.weight"] = given["4.weight"].T
    del given["4.bias"]
    with pytest.raises(RuntimeError) as failed:
        set_parameters(model, given)
    assert str(failed.value).splitlines() == [
        "these are not the model's parameters:",
        "   the model has    it was given",
        "   1.weight 4x784   1.weight 4x784",
        "   1.bias 4         1.bias 4",
        "-> 4.weight 10x4    4.weight 4x10",
        "   4.bias 10        -",
    ]
