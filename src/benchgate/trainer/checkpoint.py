"""The state of an unfinished run in one safetensors file, replaced whole: a kill leaves the old one or the new one.

No pickle anywhere: the moments of AdamW are tensors like the weights, everything else is JSON in the file's header.

Imports torch: import this module only inside a function.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from benchgate.core import DataError
from benchgate.storage import cache
from benchgate.storage.reading import reading

Restored = TypeVar("Restored")
MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


def save(path: Path, module: Any, optimizer: Any, best: dict[str, Any], state: dict[str, Any]) -> None:
    """`best` are the weights to keep if nothing better comes; `state` is JSON-ready."""
    tensors = {f"weights.{name}": tensor for name, tensor in weights(module).items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    tensors["random"] = torch.get_rng_state()
    temporary = path.with_name(path.name + ".writing")
    with cache.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, {"state": json.dumps(state)})
        os.replace(temporary, path)


def load(
    path: Path, module: Any, optimizer: Any, restored: Callable[[dict[str, Any], dict[str, Any]], Restored]
) -> Restored | None:
    """Put the saved run back into module and optimizer; returns `restored(best weights, state)`, None without a file.

    Nothing is put anywhere before all of the file has been found to fit.
    """
    if not path.is_file():
        return None
    try:
        with reading(path, "a checkpoint", "it is left aside"):
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                state = json.loads(file.metadata()["state"])
            found, best = _below(tensors, "weights."), _below(tensors, "best.")
            check_weights(module, found)
            if best:
                check_weights(module, best)
            moments = _moments(module, _below(tensors, "optimizer."))
            random = _random_state(tensors["random"])
            run = restored(best, state)
    except DataError as error:
        reason = str(error).removeprefix(f"{path}: ")
        print(f"benchgate: {path}: {reason}; training from the start", file=sys.stderr)
        return None
    put_weights(module, found)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(random)
    return run


def _moments(module: Any, tensors: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """AdamW's state of each parameter by its number. Raises DataError for one that is not of its parameter's shape."""
    shapes = [parameter.shape for parameter in trained(module).values()]
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, what = name.partition(".")
        if what not in MOMENTS or tensor.shape != (shapes[int(number)] if what != "step" else ()):
            raise DataError(f"optimizer.{name} is {list(tensor.shape)}, and no moment of the model's")
        moments.setdefault(int(number), {})[what] = tensor
    if any(kept.keys() != MOMENTS for kept in moments.values()):
        raise DataError("a parameter lacks some of its moments")
    return moments


def _random_state(tensor: Any) -> Any:
    """The state of torch's generator; raises what torch raises for a tensor that is none."""
    torch.Generator().set_state(tensor)
    return tensor


def weights(module: Any) -> dict[str, Any]:
    """Copies on the CPU of all parameters that are trained; one that has several names (tied embeddings) under its
    first."""
    return {name: parameter.detach().cpu().clone() for name, parameter in trained(module).items()}


def trained(module: Any) -> dict[str, Any]:
    """The parameters that want a gradient, by name: all but where adapters are trained in place of the weights."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def put_weights(module: Any, tensors: dict[str, Any]) -> None:
    """The reverse of `weights`. Raises DataError where names or shapes are another model's."""
    check_weights(module, tensors)
    with torch.no_grad():
        for name, parameter in trained(module).items():
            parameter.copy_(tensors[name])


def check_weights(module: Any, tensors: dict[str, Any]) -> None:
    """Raise DataError where names or shapes are another model's, before anything is changed."""
    parameters = trained(module)
    if wrong := sorted(parameters.keys() ^ tensors.keys()):
        raise DataError(f"weights of another model: {', '.join(wrong[:3])}")
    for name, parameter in parameters.items():
        if parameter.shape != tensors[name].shape:
            raise DataError(f"{name} is {list(tensors[name].shape)}, the model's is {list(parameter.shape)}")


def _below(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
