"""The state of an unfinished run in one safetensors file, replaced whole: a kill leaves the old one or the new one.

No pickle anywhere: the moments of AdamW are tensors like the weights, everything else is JSON in the file's header.

Imports torch: import this module only inside a function.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from benchgate.core import DataError
from benchgate.storage import cache


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


def load(path: Path, module: Any, optimizer: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Put the saved run back into module and optimizer; (best weights, state), or None where there is none to use."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state = json.loads(file.metadata()["state"])
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        print(f"benchgate: {path} cannot be read ({error}); training from the start", file=sys.stderr)
        return None
    put_weights(module, _below(tensors, "weights."))
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in _below(tensors, "optimizer.").items():
        index, _, what = name.partition(".")
        moments.setdefault(int(index), {})[what] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random"])
    return _below(tensors, "best."), state


def weights(module: Any) -> dict[str, Any]:
    """Copies of all parameters on the CPU; one that has several names (tied embeddings) under its first."""
    return {name: parameter.detach().cpu().clone() for name, parameter in module.named_parameters()}


def put_weights(module: Any, tensors: dict[str, Any]) -> None:
    """The reverse of `weights`. Raises DataError where names or shapes are another model's."""
    parameters = dict(module.named_parameters())
    if wrong := sorted(parameters.keys() ^ tensors.keys()):
        raise DataError(f"weights of another model: {', '.join(wrong[:3])}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            if parameter.shape != tensors[name].shape:
                raise DataError(f"{name} is {list(tensors[name].shape)}, the model's is {list(parameter.shape)}")
            parameter.copy_(tensors[name])


def _below(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
