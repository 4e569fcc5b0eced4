"""From a transformers module to the names, order and metadata that llama.cpp expects of that architecture.

The file gets no tokenizer: token ids always come from the model's own, so that no two tokenizers can disagree. Sizes
are therefore sizes of weights. llama.cpp calls such a vocabulary "none"; its server needs one, its kernels do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchgate.core import DataError
from benchgate.core.arrays import np
from benchgate.runtimes.ggml.mix import Shape

Tensors = Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Converted:
    """A module read for writing: metadata by GGUF key without the architecture's prefix, shapes, and the tensors.

    `tensors()` yields (GGUF name, float32 array) in the file's order, one at a time; `sizes` has the same names.
    """

    architecture: str
    metadata: Mapping[str, int | float | str]
    sizes: Mapping[str, tuple[int, ...]]
    shape: Shape
    tensors: Callable[[], Tensors]


def convert(module: Any, name: str) -> Converted:
    """Read `module`, a transformers causal LM called `name` in messages.

    Raises DataError for an architecture, activation or rotary scaling that this conversion does not know.
    """
    config = module.config
    read = ARCHITECTURES.get(config.model_type)
    if read is None:
        raise DataError(
            f"{name}: architecture {config.model_type!r} cannot be converted to GGUF here; known: "
            f"{', '.join(sorted(ARCHITECTURES))}; measure it with another runtime, as --cell-runtime torch"
        )
    return read(module, name)


def _llama(module: Any, name: str) -> Converted:
    """Llama (also SmolLM, TinyLlama, ...): q and k rows are reordered, llama.cpp rotates interleaved pairs."""
    config = module.config
    _require(name, "hidden_act", config.hidden_act, ("silu",))
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    rope, factors = _rope(config, name, head)
    metadata = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": head,
        "vocab_size": config.vocab_size,
        **rope,
    }

    def change(gguf_name: str, tensor: np.ndarray) -> np.ndarray:
        kind = gguf_name.split(".")[-2]
        return _interleaved(tensor, {"attn_q": heads, "attn_k": kv_heads}[kind]) if kind in _ROTATED else tensor

    extra = {} if factors is None else {"rope_freqs.weight": factors}
    return _converted(module, name, "llama", metadata, heads // kv_heads, change, extra)


def _t5(module: Any, name: str) -> Converted:
    """T5, T5 1.1, FLAN-T5. Where outputs are scaled (tied embeddings), the scale goes into the last norm: llama.cpp
    has none of its own."""
    config = module.config
    gated = bool(config.is_gated_act)
    _require(name, "dense_act_fn", config.dense_act_fn, ("gelu_new",) if gated else ("relu",))
    _require(name, "relative_attention_max_distance", config.relative_attention_max_distance, (128,))
    metadata = {
        "context_length": 512,
        "embedding_length": config.d_model,
        "block_count": config.num_layers,
        "decoder_block_count": config.num_decoder_layers,
        "feed_forward_length": config.d_ff,
        "attention.head_count": config.num_heads,
        "attention.key_length": config.d_kv,
        "attention.value_length": config.d_kv,
        "attention.layer_norm_epsilon": float(config.layer_norm_epsilon),
        "attention.layer_norm_rms_epsilon": float(config.layer_norm_epsilon),
        "attention.relative_buckets_count": config.relative_attention_num_buckets,
        "decoder_start_token_id": config.decoder_start_token_id,
        "vocab_size": config.vocab_size,
    }
    scale = config.d_model**-0.5 if config.scale_decoder_outputs else 1.0

    def change(gguf_name: str, tensor: np.ndarray) -> np.ndarray:
        return tensor * np.float32(scale) if gguf_name == "dec.output_norm.weight" else tensor

    return _converted(module, name, "t5", metadata, 1, change, {})


_ROTATED = ("attn_q", "attn_k")

# transformers' model_type -> reader
ARCHITECTURES: Mapping[str, Callable[[Any, str], Converted]] = {"llama": _llama, "t5": _t5}


def _converted(
    module: Any,
    name: str,
    architecture: str,
    metadata: Mapping[str, int | float | str],
    heads_per_kv: int,
    change: Callable[[str, np.ndarray], np.ndarray],
    extra: Mapping[str, np.ndarray],
) -> Converted:
    sources = _sources(module, name, architecture)
    sizes = {gguf_name: tuple(tensor.shape) for gguf_name, tensor in sources.items()}

    def tensors() -> Tensors:
        yield from extra.items()
        for gguf_name, tensor in sources.items():
            yield gguf_name, _finite(change(gguf_name, tensor.detach().float().cpu().numpy()), f"{name}: {gguf_name}")

    shape = Shape(_layers(module.config), heads_per_kv, tied="output.weight" not in sources)
    return Converted(architecture, metadata, {n: t.shape for n, t in extra.items()} | sizes, shape, tensors)


def _sources(module: Any, name: str, architecture: str) -> dict[str, Any]:
    """The module's tensors under their GGUF names. A head that is tied to the embedding is left out, as llama.cpp
    takes the embedding then."""
    import gguf

    known = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(known[architecture], _layers(module.config))
    found: dict[str, Any] = {}
    embedding = module.get_input_embeddings().weight
    for key, tensor in module.state_dict().items():
        if tensor.data_ptr() == embedding.data_ptr() and found.get("token_embd.weight") is not None:
            continue
        gguf_name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if gguf_name is None:
            raise DataError(f"{name}: llama.cpp's {architecture} has no place for tensor {key!r}; use another runtime")
        found[gguf_name] = tensor
    return found


def _layers(config: Any) -> int:
    return max(int(config.num_hidden_layers), int(getattr(config, "num_decoder_layers", 0)))


def _interleaved(tensor: np.ndarray, heads: int) -> np.ndarray:
    """Rows (or bias entries) of q or k from halves to interleaved pairs within each head."""
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))


def _finite(tensor: np.ndarray, where: str) -> np.ndarray:
    if not np.isfinite(tensor).all():
        raise DataError(f"{where} holds NaN or infinite weights; quantizing them would hide that")
    return tensor


def _require(name: str, field: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise DataError(
            f"{name}: {field} is {value!r}; llama.cpp computes it only as {' or '.join(map(repr, allowed))}; "
            "use another runtime"
        )


def _rope(config: Any, name: str, head: int) -> tuple[dict[str, float | str], np.ndarray | None]:
    """Rotary metadata, and the per-frequency factors that Llama 3.1's scaling needs as a tensor."""
    rope = dict(config.rope_parameters)
    kind = rope.get("rope_type", "default")
    _require(name, "rope_type", kind, ("default", "linear", "llama3"))
    found: dict[str, float | str] = {"rope.freq_base": float(rope["rope_theta"])}
    if kind == "linear":
        found |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(rope["factor"])}
    return found, _llama3_factors(rope, head) if kind == "llama3" else None


def _llama3_factors(rope: Mapping[str, float], head: int) -> np.ndarray:
    """[head / 2] divisors of the frequencies (transformers' `_compute_llama3_parameters`)."""
    frequency = rope["rope_theta"] ** -(np.arange(0, head, 2, dtype=np.float64) / head)
    wavelength = 2 * math.pi / frequency
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    original = rope["original_max_position_embeddings"]
    smooth = np.clip((original / wavelength - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
