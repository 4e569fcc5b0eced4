"""Files, weights, architectures and builds of the library that ggml is not trusted with."""

from __future__ import annotations

import pytest

from benchgate.core import DataError, Unavailable, runtimes, schemes
from tests.runtimes.ggml.tiny_llama import TinyLlama

pytestmark = pytest.mark.backend("ggml")


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def overwrite(path, old, new):
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"not a model at all, but long enough to be one"), "not a whole GGUF file"),
        (lambda path: path.write_bytes(b""), "not a whole GGUF file"),
        (lambda path: cut(path, 100), "not a whole GGUF file"),
        (lambda path: cut(path, path.stat().st_size - 1000), "cut short|(not|as) a (whole )?GGUF file"),
        (lambda path: path.unlink(), "no such file"),
        (lambda path: overwrite(path, b"llama", b"lemma"), "architecture 'lemma'"),
        (lambda path: overwrite(path, b"blk.1.attn_q", b"blk.1.attn_z"), "cannot load it"),
    ],
    ids=["text", "empty", "header", "tail", "missing", "architecture", "tensor"],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, damage, message):
    model, runtime = TinyLlama(), runtimes["ggml"]
    runtime.build(model, schemes["gguf-f16"], tmp_path)
    damage(tmp_path / "model.gguf")
    with pytest.raises(DataError, match=message) as raised:
        runtime.load(tmp_path, model, "cpu", 1)
    assert "model.gguf" in str(raised.value)


def test_an_architecture_that_cannot_be_converted(tmp_path):
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    model = TinyLlama()
    config = GPTNeoXConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=9
    )
    model.build = lambda: GPTNeoXForCausalLM(config)
    with pytest.raises(DataError, match=r"architecture 'gpt_neox' cannot be converted .* known: llama"):
        runtimes["ggml"].build(model, schemes["gguf-q8_0"], tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4}}, "rope_type is 'yarn'"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        runtimes["ggml"].build(TinyLlama(**changes), schemes["gguf-f16"], tmp_path)


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "NaN or infinite weights"), (1e6, "do not fit float16")])
def test_weights_that_would_hide_behind_quantization(tmp_path, value, message):
    model = TinyLlama()
    module = model.build()
    module.model.layers[1].mlp.up_proj.weight.data[3, 5] = value
    model.build = lambda: module
    with pytest.raises(DataError, match=message) as raised:
        runtimes["ggml"].build(model, schemes["gguf-f16"], tmp_path)
    assert "blk.1.ffn_up.weight" in str(raised.value)


def test_another_build_of_the_library_is_refused(monkeypatch):
    import importlib.metadata

    from benchgate.runtimes.ggml import library as ggml_library

    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2027.1.1")
    message = "xllamacpp 2027.1.1 is installed; .* pip install xllamacpp==2026"
    with pytest.raises(Unavailable, match=message):
        ggml_library.library.__wrapped__()
    assert "2027.1.1" in runtimes["ggml"].missing("cpu")


def test_defaults_that_do_not_read_back_are_refused(monkeypatch):
    from benchgate.runtimes.ggml import library as ggml_library

    monkeypatch.setitem(ggml_library.CONTEXT_DEFAULTS, "n_batch", 17)
    with pytest.raises(Unavailable, match=r"llama_context_default_params answers \{'n_batch': 2048\}"):
        ggml_library.library.__wrapped__()
