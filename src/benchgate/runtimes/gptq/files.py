"""Files of a quantization with GPTQ, whichever library does it: source folder, check of groups, the rest in float16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchgate.core import DataError


def write_source(module: Any, tokenizer: Any, folder: Path) -> None:
    """Write the transformers folder that both libraries read their input from."""
    from transformers.utils import logging as bars

    folder.mkdir()
    had_bars = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        module.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    finally:
        if had_bars:
            bars.enable_progress_bar()


def check_groups(module: Any, group_size: int, what: str) -> None:
    """Raises DataError for a group size that does not divide the inputs of a linear layer, with those that do."""
    import torch

    head = module.get_output_embeddings()
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.Linear) and layer is not head and layer.in_features % group_size:
            fitting = [size for size in (128, 64, 32, 16) if layer.in_features % size == 0]
            raise DataError(
                f"{what}: group_size {group_size} does not divide the {layer.in_features} inputs of {name}; "
                + (f"it could be {', '.join(map(str, fitting))}" if fitting else "no usual group size does")
            )


def shrink(out: Path) -> None:
    """Store what is left in float32 as float16, a shard at a time. Raises DataError where a weight does not fit."""
    import torch
    from safetensors.torch import load_file, save_file

    for path in sorted(out.glob("*.safetensors")):
        tensors = load_file(path)
        for name, tensor in tensors.items():
            if tensor.dtype == torch.float32:
                tensors[name] = tensor.half()
                if not torch.isfinite(tensors[name]).all():
                    raise DataError(f"{name}: weights up to {tensor.abs().max():.3g} do not fit float16")
        save_file(tensors, path, metadata={"format": "pt"})


def replace_layers(module: Any, kind: type, plain: Callable[[Any], Any]) -> Any:
    """`module` with every layer of type `kind` replaced by what `plain(layer)` makes of it, in float32."""
    import torch

    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, kind):
                setattr(parent, name, plain(layer))
    return module.to(torch.float32)


def plain_linear(weight: Any, bias: Any) -> Any:
    """A linear layer of `weight`, [outputs, inputs], and `bias`, [outputs] or None."""
    import torch

    plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    plain.weight = torch.nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        plain.bias = torch.nn.Parameter(bias.float(), requires_grad=False)
    return plain
