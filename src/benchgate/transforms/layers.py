"""Layers that the transforms work on: which of a module's weights are multiplied, and which amounts are allowed.

Imports torch only inside functions.
"""

from __future__ import annotations

from typing import Any

from benchgate.core import BenchgateError, DataError

LAYERS = ("Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")


def multiplied(module: Any, kinds: tuple[str, ...] = LAYERS) -> list[tuple[str, Any]]:
    """Return (name, layer) of each layer of these kinds, one that shares its weight with another only once.

    Left out are those whose weight is an embedding too (a tied output layer): changing the one would change the other,
    and embeddings are looked up, not multiplied.
    """
    from torch import nn

    types = tuple(getattr(nn, kind) for kind in kinds)
    seen = {_memory(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
    found = []
    for name, layer in module.named_modules():
        if isinstance(layer, types) and _memory(layer.weight) not in seen:
            seen.add(_memory(layer.weight))
            found.append((name, layer))
    return found


def _memory(tensor: Any) -> int:
    """Identity of the tensor's memory, as torch.save has it: what is tied is two objects on the device meta."""
    return int(tensor.untyped_storage()._cdata)


def some(step: str, module: Any, found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return what was found. Raises DataError for nothing: an unchanged model must not be measured as changed."""
    if not found:
        raise DataError(f"{step}: {type(module).__name__} has no linear or convolution layer of its own weights")
    return found


def check_percentage(name: str, amount: float | None, example: int = 50) -> float:
    """Return the amount. Raises BenchgateError for anything but a share in percent between 0 and 100."""
    if amount is None or not 0 < amount < 100:
        given = name if amount is None else f"{name}-{amount:g}"
        raise BenchgateError(f"{given}: a percentage between 0 and 100 is needed; write for example {name}-{example}")
    return amount


def weight_zeros(module: Any) -> dict[str, float]:
    """Return `sparsity`, the share of zeros among the weights that are multiplied; nothing for a module without."""
    weights = [layer.weight for _, layer in multiplied(module)]
    total = sum(weight.numel() for weight in weights)
    return {"sparsity": sum(int((weight == 0).sum()) for weight in weights) / total} if total else {}


def replace_layer(module: Any, name: str, layer: Any) -> None:
    """Put `layer` in the place of the submodule of this dotted name."""
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, layer)
