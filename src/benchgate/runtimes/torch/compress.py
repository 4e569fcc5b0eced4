"""How torch compresses a module, one function a method: `(module, scheme) -> module`. See rows.py."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

from benchgate.core import Scheme, Unavailable


def to_dtype(module: Any, scheme: Scheme) -> Any:
    import torch

    return module.to(getattr(torch, scheme.options["dtype"]))


# Why a method cannot take a linear layer of so many inputs and outputs, or None.
Refused = Callable[[int, int], str | None]
# torch's int4 kernel of the CPU writes so many outputs at a time.
INT4_OUTPUTS = 16
SHOWN = 3


def _int8_refused(inputs: int, outputs: int) -> str | None:
    """A scale for each output is found by reducing over its inputs, which torchao does not do for one input."""
    return "1 input, at least 2 are needed" if inputs < 2 else None


def _torchao(module: Any, config: Any, scheme: Scheme, refused: Refused = _int8_refused) -> Any:
    """Quantize the linear layers of the module in bf16, from which torchao's int8 and int4 kernels are fastest.

    What the method cannot take stays in bf16, and so does an output layer that shares its weight with the embedding:
    quantizing it would add a second copy. Raises Unavailable where nothing is left to quantize.
    """
    import torch
    from torchao.quantization import quantize_

    module = module.to(torch.bfloat16)
    shared = {id(m.weight) for m in module.modules() if isinstance(m, torch.nn.Embedding)}
    taken, left = set(), []
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.Linear):
            tied = "it shares its weight with an embedding" if id(layer.weight) in shared else None
            reason = tied or refused(layer.in_features, layer.out_features)
            if reason is None:
                taken.add(name)
            else:
                left.append(f"{name or 'the model itself'}: {reason}")
    if not taken:
        more = f"; and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        raise Unavailable(
            f"{scheme.name} can quantize no layer of this model: {'; '.join(left[:SHOWN]) or 'none is linear'}{more}"
        )
    quantize_(module, config, lambda _, name: name in taken)
    return module


def int8_dynamic(module: Any, scheme: Scheme) -> Any:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig

    return _torchao(module, Int8DynamicActivationInt8WeightConfig(), scheme)


def int8_weight_only(module: Any, scheme: Scheme) -> Any:
    from torchao.quantization import Int8WeightOnlyConfig

    return _torchao(module, Int8WeightOnlyConfig(), scheme)


def int4_weight_only(module: Any, scheme: Scheme) -> Any:
    from torchao.prototype.quantization.int4.inference_workflow import PrototypeInt4WeightOnlyConfig

    # inductor settings are process-wide: one cell must not change how the next one is compiled
    group = scheme.options["group_size"]
    config = PrototypeInt4WeightOnlyConfig(group_size=group, set_inductor_config=False)

    def refused(inputs: int, outputs: int) -> str | None:
        if inputs % group:
            return f"{inputs} inputs are no multiple of the group size {group}"
        return f"{outputs} outputs are no multiple of {INT4_OUTPUTS}" if outputs % INT4_OUTPUTS else None

    return _torchao(module, config, scheme, refused)


def register_tensor_types() -> None:
    """torchao's modules name their tensor types as safe to load when they are imported; nothing else becomes so."""
    import torch
    from torchao.prototype.quantization.int4 import Int4OpaqueTensor
    from torchao.quantization.quant_primitives import MappingType
    from torchao.quantization.quantize_.common import KernelPreference

    torch.serialization.add_safe_globals([Int4OpaqueTensor])
    # Older Pythons (3.11.2 does) pickle a member of an enumeration through getattr, which no safe reader may allow.
    for kind in (KernelPreference, MappingType):
        copyreg.pickle(kind, lambda member: (type(member), (member.value,)))
