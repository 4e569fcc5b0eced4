"""Causal language models for ONNX Runtime: a transformers model exported with its key-value cache as input and output.

The graph takes `input_ids` int64 [batch, length], `keep` int64 [n], the positions in `input_ids` whose logits are
wanted, and for each layer `past.N.key` and `past.N.value` float32 [batch, heads, past length, head size]; it answers
`logits` float32 [batch, n, vocabulary] and the longer cache `present.N.*`. There is no mask: rows are of one length, or
padded on the right, where causal attention does not look.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Model, Runtime, Scheme, Unavailable, schemes, support
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import quiet
from benchgate.runtimes.onnx.session import FILE
from benchgate.storage.artifacts import artifact

NEEDS = {"onnx": "onnx", "onnxscript": "onnx", "torch": "onnx", "transformers": "torch"}
OPSET = 18
# What the session cannot read off the graph's shapes.
CONTEXT_LIMIT = "benchgate.context_limit"
# How the quantized layers are multiplied, and when their weights become floats again.
MATMUL, DEQUANTISES = "benchgate.matmul_nbits", "benchgate.dequantises_per_call"
# The cache layer of transformers that only grows; others forget, which inputs and outputs like these cannot say.
GROWING_LAYER = "DynamicLayer"


@dataclass(frozen=True)
class Blockwise:
    """One use of the operator MatMulNBits. `accuracy_level` 4 lets it compute in int8, each block of activations with
    a scale of its own; 0 is float32. `dequantises`: when weights become floats again, empty for never."""

    bits: int
    accuracy_level: int
    dequantises: str


# MLAS, ONNX Runtime's CPU library, multiplies one row of floats by packed weights as they are; for more rows it unpacks
# the weights tile by tile in each call. Integer activations are multiplied by packed weights whatever their number.
# Not MatMulInteger, the other int8: one scale for all activations at once costs SmolLM2-135M most of its accuracy.
INT4 = Blockwise(4, 0, "with more than one row: prefill, batches")
INT8 = Blockwise(8, 4, "")
BLOCK = 32


def build(model: Any, scheme: Scheme, out: Path, runtime: Runtime) -> None:
    """Write the model in `scheme` into the folder `out`; other schemes than float32 are made from that one's artifact.

    Raises Unavailable without the packages, DataError for a model whose cache cannot be exported.
    """
    if reason := missing_packages(NEEDS):
        raise Unavailable(reason)
    compress = support.compressor_row(model, scheme, runtime).target
    if not compress:
        with quiet():
            _export(model, out / FILE)
        return
    source = artifact(model, schemes["fp32"], runtime) / FILE
    with quiet():
        support.imported(compress)(source, out / FILE, model, scheme)


def int8_dynamic(source: Path, target: Path, model: Model, scheme: Scheme) -> None:
    """Weights int8 in blocks, activations int8 on the fly."""
    _quantize(source, target, INT8, scheme.options.get("group_size", BLOCK))


def int4_weight_only(source: Path, target: Path, model: Model, scheme: Scheme) -> None:
    """Weights int4 in the scheme's groups, computed in float32."""
    _quantize(source, target, INT4, scheme.options.get("group_size", BLOCK))


def cache_names(kind: str, layers: int) -> list[str]:
    """`past.0.key`, `past.0.value`, `past.1.key`, ...; `kind` is past or present."""
    return [f"{kind}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


def _export(model: Any, target: Path) -> None:
    import torch

    module = model.build().eval()
    config = module.config.get_text_config()
    # The plain arithmetic: exported scaled_dot_product_attention adds a search for NaN to each layer.
    module.set_attn_implementation("eager")
    with torch.inference_mode():
        past = _example_cache(module, model.name)
        layers = len(past)
        dim = torch.export.Dim.DYNAMIC
        program = torch.onnx.export(
            _with_cache(module),
            (torch.ones(2, 3, dtype=torch.long), torch.tensor([0, 2]), past),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input_ids", "keep", *cache_names("past", layers)],
            output_names=["logits", *cache_names("present", layers)],
            dynamic_shapes={
                "input_ids": {0: dim, 1: dim},
                "keep": {0: dim},
                "past": [({0: dim, 2: dim}, {0: dim, 2: dim}) for _ in range(layers)],
            },
            verbose=False,
        )
    program.model.metadata_props[CONTEXT_LIMIT] = str(config.max_position_embeddings)
    program.save(target, external_data=True)


def _example_cache(module: Any, name: str) -> list[tuple[Any, Any]]:
    """The cache after five tokens, which shows the layers' shapes, whatever the configuration calls them."""
    import torch

    layers = module(torch.ones(2, 5, dtype=torch.long), use_cache=True).past_key_values.layers
    kinds = {type(layer).__name__ for layer in layers}
    if kinds != {GROWING_LAYER}:
        raise DataError(
            f"{name}: its cache has {', '.join(sorted(kinds))}; only {GROWING_LAYER}, a cache that keeps every "
            "position, can be exported: measure this model on the runtime torch"
        )
    return [(layer.keys, layer.values) for layer in layers]


def _with_cache(module: Any) -> Any:
    """The module with its cache as plain tensors."""
    from torch import nn
    from transformers import DynamicCache

    class WithCache(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, input_ids: Any, keep: Any, past: list[tuple[Any, Any]]) -> Any:
            cache = DynamicCache(past)
            logits = self.module(input_ids, past_key_values=cache, use_cache=True, logits_to_keep=keep).logits
            return logits, [(layer.keys, layer.values) for layer in cache.layers]

    return WithCache()


def _quantize(source: Path, target: Path, kind: Blockwise, block: int) -> None:
    """Linear weights in blocks of `block` along the input, a scale and a zero point each, rounded to nearest.

    A head that shares its weight with the embedding stays as it is, as on torch: it would be a second copy of it.
    """
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        str(source),
        bits=kind.bits,
        block_size=block,
        is_symmetric=False,
        accuracy_level=kind.accuracy_level,
        op_types_to_quantize=("MatMul",),
    )
    quantizer.process()
    about = f"{kind.bits} bits in blocks of {block}, accuracy_level {kind.accuracy_level}"
    for key, value in {MATMUL: about, DEQUANTISES: kind.dequantises}.items():
        quantizer.model.model.metadata_props.add(key=key, value=value)
    quantizer.model.save_model_to_file(str(target), use_external_data_format=True)
