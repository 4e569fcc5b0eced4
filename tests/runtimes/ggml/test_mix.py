"""llama.cpp's mixtures: what it gives a 30-layer model of 576, and one of 4,096; needs no backend."""

from __future__ import annotations

from collections import Counter

import pytest

from benchgate.core import schemes
from benchgate.runtimes import ggml  # noqa: F401  registers the schemes
from benchgate.runtimes.ggml.mix import Shape, assign


def tensors(layers, hidden, ffn, kv, tied=True):
    found = {"token_embd.weight": (1000, hidden), "output_norm.weight": (hidden,)}
    for i in range(layers):
        sizes = {"attn_q": (hidden, hidden), "attn_k": (kv, hidden), "attn_v": (kv, hidden),
                 "attn_output": (hidden, hidden), "ffn_gate": (ffn, hidden), "ffn_up": (ffn, hidden),
                 "ffn_down": (hidden, ffn), "attn_norm": (hidden,)}  # fmt: skip
        found |= {f"blk.{i}.{name}.weight": size for name, size in sizes.items()}
    return found if tied else found | {"output.weight": (1000, hidden)}


def types(scheme, shape, **sizes):
    options = schemes[scheme].options
    return assign(tensors(shape.layers, tied=shape.tied, **sizes), options["file_type"], options["type"], shape)


def counts(found):
    return dict(Counter(kind for kind in found.values() if kind != "F32"))


def test_a_hidden_size_of_576_is_mostly_fallbacks():
    """Only ffn_down's rows of 1,536 divide by 256: 30 tensors of 211."""
    small = Shape(30, 3, tied=True)
    sizes = {"hidden": 576, "ffn": 1536, "kv": 192}
    assert counts(types("gguf-q2_k", small, **sizes)) == {"Q8_0": 1, "Q4_0": 180, "Q3_K": 30}
    assert counts(types("gguf-q4_k_m", small, **sizes)) == {"Q8_0": 15, "Q5_0": 166, "Q6_K": 14, "Q4_K": 16} | {
        "Q8_0": 15
    }
    assert counts(types("gguf-q8_0", small, **sizes)) == {"Q8_0": 211}


def test_the_mixture_of_q4_k_m():
    """32 layers: the first and last four and every third between have attn_v and ffn_down in Q6_K."""
    found = types("gguf-q4_k_m", Shape(32, 4, tied=False), hidden=4096, ffn=14336, kv=1024)
    layers = [i for i in range(32) if found[f"blk.{i}.ffn_down.weight"] == "Q6_K"]
    assert layers == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    assert layers == [i for i in range(32) if found[f"blk.{i}.attn_v.weight"] == "Q6_K"]
    assert found["output.weight"] == "Q6_K"
    assert found["token_embd.weight"] == found["blk.5.attn_q.weight"] == "Q4_K"
    assert found["blk.5.attn_norm.weight"] == "F32"


def test_the_mixture_of_q3_k_m():
    found = types("gguf-q3_k_m", Shape(32, 4, tied=True), hidden=4096, ffn=14336, kv=1024)
    assert [found[f"blk.{i}.attn_v.weight"] for i in range(3)] == ["Q5_K", "Q5_K", "Q4_K"]
    assert [found[f"blk.{i}.ffn_down.weight"] for i in range(3)] == ["Q5_K", "Q5_K", "Q4_K"]
    assert found["blk.9.attn_output.weight"] == "Q4_K"
    assert found["blk.9.ffn_up.weight"] == "Q3_K"


@pytest.mark.parametrize(("heads_per_kv", "kind"), [(3, "Q3_K"), (4, "Q4_K")])
def test_the_mixture_of_q2_k(heads_per_kv, kind):
    found = types("gguf-q2_k", Shape(8, heads_per_kv, tied=True), hidden=1024, ffn=4096, kv=256)
    assert found["blk.0.attn_v.weight"] == kind
    assert found["blk.0.ffn_gate.weight"] == "Q2_K"
    assert found["blk.0.ffn_down.weight"] == found["blk.0.attn_output.weight"] == "Q3_K"
