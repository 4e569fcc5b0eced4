"""How torch compresses a module, one function a method: `(module, scheme) -> module`. See rows.py."""

from __future__ import annotations

import copyreg
from typing import Any

from benchgate.core import Scheme


def to_dtype(module: Any, scheme: Scheme) -> Any:
    import torch

    return module.to(getattr(torch, scheme.options["dtype"]))


def _torchao(module: Any, config: Any) -> Any:
    """Quantize the linear layers of the module in bf16, from which torchao's int8 and int4 kernels are fastest.

    An output layer that shares its weight with the embedding stays as it is: quantizing it would add a second copy.
    """
    import torch
    from torchao.quantization import quantize_

    module = module.to(torch.bfloat16)
    shared = {id(m.weight) for m in module.modules() if isinstance(m, torch.nn.Embedding)}
    quantize_(module, config, lambda m, _: isinstance(m, torch.nn.Linear) and id(m.weight) not in shared)
    return module


def int8_dynamic(module: Any, scheme: Scheme) -> Any:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig

    return _torchao(module, Int8DynamicActivationInt8WeightConfig())


def int8_weight_only(module: Any, scheme: Scheme) -> Any:
    from torchao.quantization import Int8WeightOnlyConfig

    return _torchao(module, Int8WeightOnlyConfig())


def int4_weight_only(module: Any, scheme: Scheme) -> Any:
    from torchao.prototype.quantization.int4.inference_workflow import PrototypeInt4WeightOnlyConfig

    # inductor settings are process-wide: one cell must not change how the next one is compiled
    config = PrototypeInt4WeightOnlyConfig(group_size=scheme.options["group_size"], set_inductor_config=False)
    return _torchao(module, config)


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
