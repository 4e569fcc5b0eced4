"""Causal language models for ONNX Runtime: a transformers model exported with its key-value cache as input and output.

The graph takes `input_ids` int64 [batch, length], `keep` int64 [n], the positions in `input_ids` whose logits are
wanted, and for each layer `past.N.key` and `past.N.value` float32 [batch, heads, past length, head size]; it answers
`logits` float32 [batch, n, vocabulary] and the longer cache `present.N.*`. There is no mask: rows are of one length, or
padded on the right, where causal attention does not look.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Scheme, Unavailable
from benchgate.packages import missing_packages
from benchgate.runtimes.graphs import Accepts, quiet
from benchgate.runtimes.onnx_session import FILE

NEEDS = {"onnx": "onnx", "onnxscript": "onnx", "torch": "onnx", "transformers": "torch"}
ACCEPTS = Accepts(
    "build", "transformers modules", (), ("float", "int8-dynamic", "int4-weight-only"), ("float32",), ("causal-lm",)
)
OPSET = 18
# What the session cannot read off the graph's shapes.
CONTEXT_LIMIT = "benchgate.context_limit"
# The largest cache layer of transformers that only grows: others forget, which past and present as they are cannot say.
GROWING_LAYER = "DynamicLayer"


def build(model: Any, scheme: Scheme, out: Path, full: Callable[[], Path]) -> None:
    """Write the model in `scheme` into the folder `out`; `full()` is the folder of its float32 artifact.

    Raises Unavailable without the packages, DataError for a model whose cache cannot be exported.
    """
    if reason := missing_packages(NEEDS):
        raise Unavailable(reason)
    if scheme.method == "float":
        with quiet():
            _export(model, out / FILE)
        return
    source = full() / FILE
    with quiet():
        if scheme.method == "int8-dynamic":
            _to_int8(source, out / FILE)
        else:
            _to_int4(source, out / FILE, scheme.options["group_size"])


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


def _to_int8(source: Path, target: Path) -> None:
    """Weights int8 per channel; activations uint8 per tensor, on the fly (MatMulInteger)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
    )


def _to_int4(source: Path, target: Path, group_size: int) -> None:
    """Weights in blocks of `group_size` along the input, a scale and a zero point each (MatMulNBits); round to nearest.

    A head that shares its weight with the embedding stays as it is, as on torch: it would be a second copy of it.
    """
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        str(source), bits=4, block_size=group_size, is_symmetric=False, op_types_to_quantize=("MatMul",)
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(target), use_external_data_format=True)
