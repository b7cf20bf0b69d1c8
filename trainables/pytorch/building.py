"""A workload's model in PyTorch: built by its own file, with the parameters that its constructor draws under a seed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from trainables.common import user_code
from trainables.common.mismatch import side_by_side
from trainables.common.suggest import nearest
from trainables.contract import Option, Parameters

BUILD = "build"
INITIALIZE = "initialize"  # a model file may have it: ``initialize(model, seed)`` draws instead of the constructor


def build(file: Path, options: Mapping[str, Option], seed: int) -> nn.Module:
    """The model as its constructor leaves it under the seed, on the CPU.

    Raises
    ------
    RuntimeError
        Of one line, with file and line, where the file cannot build it.
    """
    with user_code.telling(file):
        maker = _maker(file, user_code.load(file), options)
        torch.manual_seed(seed)
        model = maker(**options)
    if not isinstance(model, nn.Module):
        raise RuntimeError(f"{_place(file, maker)}: {BUILD} gives {_a(model)}, and must give a torch.nn.Module")
    if lazy := next((name for name, each in named(model) if is_lazy(each)), None):
        raise RuntimeError(f"{_place(file, maker)}: the size of {lazy} is not known yet; lazy layers cannot be used")
    return model


def initialized(file: Path, options: Mapping[str, Option], seed: int) -> nn.Module:
    """The model at the initial parameters of the seed, on the CPU; errors as of `build`."""
    model = build(file, options, seed)
    initialize = getattr(user_code.load(file), INITIALIZE, None)
    if initialize is not None:
        with user_code.telling(file):
            initialize(model, seed)
    return model


def draw(file: Path, options: Mapping[str, Option], seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Initial parameters, drawn on the CPU wherever they will be trained; errors as of `build`."""
    return arrays(initialized(file, options, seed))


def problem(
    file: Path, options: Mapping[str, Option], features: npt.NDArray[np.float32], outputs: int, *, seed: int = 0
) -> str | None:
    """Why a model cannot be trained on data like these, in a line with file and line; None where it can.

    Parameters
    ----------
    features
        Of a few samples, two at least: real ones, or zeros of their shape, of which a NaN is forgiven.
    outputs
        How many numbers the model has to give a sample.
    """
    try:
        model = initialized(file, options, seed)
    except RuntimeError as error:
        return str(error)
    where = _place(file, getattr(user_code.load(file), BUILD))
    return _problem_of_parameters(model, where) or _problem_of_outputs(model, where, file, features, outputs)


def _problem_of_parameters(model: nn.Module, where: str) -> str | None:
    if not any(each.requires_grad for each in model.parameters()):
        return f"{where}: the model has no parameters to train"
    for name, each in named(model):
        if each.dtype != torch.float32:
            return f"{where}: the model's {name} is {_dtype(each)}, and must be float32"
        if not each.isfinite().all():
            return f"{where}: the model's {name} holds a NaN or an infinity from the start"
    return None


def _problem_of_outputs(
    model: nn.Module, where: str, file: Path, features: npt.NDArray[np.float32], outputs: int
) -> str | None:
    try:
        with user_code.telling(file), torch.inference_mode():
            found = model.eval()(torch.from_numpy(features.copy()))
    except user_code.UserCodeError as error:
        return str(error)
    except Exception as error:  # raised in PyTorch's own layers
        said = " ".join(str(error).split())
        return f"{where}: the model cannot take samples of shape {features.shape[1:]}: {type(error).__name__}: {said}"
    if not isinstance(found, Tensor):
        return f"{where}: the model gives {_a(found)}, and must give a tensor"
    if found.shape != (len(features), outputs):
        gives, wanted = tuple(found.shape), (len(features), outputs)
        return f"{where}: of {len(features)} samples the model makes {gives}, and the data ask for {wanted}"
    if found.dtype != torch.float32:
        return f"{where}: the model gives {_dtype(found)}, and must give float32"
    if features.any() and not found.isfinite().all():
        return f"{where}: of real samples the model makes a NaN or an infinity"
    return None


def named(model: nn.Module) -> list[tuple[str, Tensor]]:
    """What travels between frameworks, in canonical order: parameters, and statistics such as BatchNorm's."""
    return [(name, tensor) for name, tensor in model.state_dict().items() if tensor.is_floating_point()]


def arrays(model: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Copies of these, C-order."""
    return {name: tensor.to("cpu", copy=True).contiguous().numpy() for name, tensor in named(model)}


def set_parameters(model: nn.Module, given: Parameters) -> None:
    """Set all that is `named`: by name, or by position where other names are given.

    Raises
    ------
    RuntimeError
        Where they do not fit: both lists side by side, the first difference marked.
    """
    mine = named(model)
    by_name = {name for name, _ in mine} == set(given)
    chosen = [given[name] for name, _ in mine] if by_name else list(given.values())
    if [tuple(tensor.shape) for _, tensor in mine] != [array.shape for array in chosen]:
        ours = {name: tuple(tensor.shape) for name, tensor in mine}
        theirs = {name: given[name].shape for name in (ours if by_name else given)}
        lists = side_by_side(ours, theirs, titles=("the model has", "it was given"))
        raise RuntimeError(f"these are not the model's parameters:\n{lists}")
    with torch.no_grad():
        for (_, tensor), array in zip(mine, chosen, strict=True):
            tensor.copy_(torch.from_numpy(array))


def _maker(file: Path, module: ModuleType, options: Mapping[str, Option]) -> Callable[..., Any]:
    """A file's ``build``, which takes these options."""
    maker: Callable[..., Any] | None = getattr(module, BUILD, None)
    if not callable(maker):
        raise RuntimeError(f"{file} has no function {BUILD}, which makes the model")
    try:
        taken = inspect.signature(maker).parameters
    except (TypeError, ValueError):  # written in C
        return maker
    if not any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        for name in options:
            if name not in taken:
                valid = nearest(name, taken) if taken else ", and takes none at all"
                raise RuntimeError(f"{_place(file, maker)}: {BUILD} takes no option '{name}'{valid}")
    for name, each in taken.items():
        needed = each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
        if needed and name not in options:
            raise RuntimeError(
                f"{_place(file, maker)}: {BUILD} needs '{name}', of which the workload's options say nothing"
            )
    return maker


def _place(file: Path, maker: object) -> str:
    """File and line of a function or class."""
    try:
        _, line = inspect.getsourcelines(maker)  # type: ignore[arg-type]
        return f"{inspect.getsourcefile(maker) or file}, line {line}"  # type: ignore[arg-type]
    except (TypeError, OSError):
        return str(file)


def _a(thing: object) -> str:
    name = type(thing).__name__
    return "nothing" if thing is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
