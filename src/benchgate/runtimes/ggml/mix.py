"""The GGML type of each tensor: llama.cpp's mixtures and its fallbacks for rows that do not divide.

The rules are those of `llama_tensor_get_type_impl` and `tensor_type_fallback` in src/llama-quant.cpp (llama.cpp 0.6)
for dense models without an importance matrix: a "Q4_K_M" file is a mixture, and a tensor whose rows are no multiple of
256 gets another type altogether.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

BLOCKS = {"F32": 1, "F16": 1, "Q4_0": 32, "Q5_0": 32, "Q5_1": 32, "Q8_0": 32}
SUPER_BLOCK = 256
FALLBACK = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
# Norms, learned positions, T5's relative attention bias.
UNQUANTIZED = ("_norm.weight", "position_embd.weight", "attn_rel_b.weight")


@dataclass(frozen=True)
class Shape:
    """Facts that the rules look at beside names: layers, and attention heads a key-value head."""

    layers: int
    heads_per_kv: int
    tied: bool


@dataclass(frozen=True)
class Place:
    """One weight: its kind ("attn_v", "ffn_down", "token_embd", ...) and layer (0 where it has none)."""

    kind: str
    layer: int
    columns: int


def assign(names: Mapping[str, Sequence[int]], file_type: str, base: str, shape: Shape) -> dict[str, str]:
    """GGML type by tensor name. `names` gives each tensor's shape, [rows, columns] or [columns].

    `file_type` is llama.cpp's name of the mixture ("Q4_K_M"), `base` its default tensor type ("Q4_K").
    """
    return {name: _type_of(name, size, file_type, base, shape) for name, size in names.items()}


def _type_of(name: str, size: Sequence[int], file_type: str, base: str, shape: Shape) -> str:
    if len(size) < 2 or not name.endswith(".weight") or name.endswith(UNQUANTIZED):
        return "F32"
    if base in ("F32", "F16"):
        return base
    return _fitting(_wanted(_place(name, size), file_type, base, shape), size[-1])


def _place(name: str, size: Sequence[int]) -> Place:
    found = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    return Place(found[2], int(found[1]), size[-1]) if found else Place(name.removesuffix(".weight"), 0, size[-1])


def _wanted(place: Place, file_type: str, base: str, shape: Shape) -> str:
    if place.kind == "output" or (place.kind == "token_embd" and shape.tied):
        return "Q8_0" if base == "Q8_0" or place.columns % _block(base) else "Q6_K"
    rule = _MIXTURES.get(file_type, {}).get(place.kind)
    return rule(place.layer, shape) if rule else base


def _more_bits(layer: int, shape: Shape) -> bool:
    """The first and last eighth of the layers and every third between."""
    n = shape.layers
    return layer < n // 8 or layer >= 7 * n // 8 or (layer - n // 8) % 3 == 2


def _q4_or_q6(layer: int, shape: Shape) -> str:
    return "Q6_K" if _more_bits(layer, shape) else "Q4_K"


_MIXTURES: Mapping[str, Mapping[str, Callable[[int, Shape], str]]] = {
    "Q4_K_M": {"attn_v": _q4_or_q6, "ffn_down": _q4_or_q6, "attn_qkv": _q4_or_q6},
    "Q3_K_M": {
        "attn_v": lambda layer, shape: "Q5_K" if layer < 2 else "Q4_K",
        "attn_qkv": lambda layer, shape: "Q5_K" if layer < 2 else "Q4_K",
        "ffn_down": lambda layer, shape: "Q5_K" if layer < shape.layers // 16 else "Q4_K",
        "attn_output": lambda layer, shape: "Q4_K",
    },
    "Q2_K": {
        "attn_v": lambda layer, shape: "Q4_K" if shape.heads_per_kv >= 4 else "Q3_K",
        "attn_qkv": lambda layer, shape: "Q4_K" if shape.heads_per_kv >= 4 else "Q3_K",
        "ffn_down": lambda layer, shape: "Q3_K",
        "attn_output": lambda layer, shape: "Q3_K",
    },
}


def _fitting(wanted: str, columns: int) -> str:
    if columns % _block(wanted) == 0:
        return wanted
    other = FALLBACK.get(wanted, "F16")
    return other if columns % _block(other) == 0 else "F16"


def _block(name: str) -> int:
    return BLOCKS.get(name, SUPER_BLOCK)
