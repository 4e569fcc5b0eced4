"""GPTQ of a tiny random Llama: real kernels, honest scores, nothing left behind when it is interrupted.

GPTQModel compiles its packing once with g++, about 100 s the first time on a machine.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchgate import run as running
from benchgate.artifacts import artifact
from benchgate.core import Cell, DataError, models, runtimes, schemes
from benchgate.runtimes.gptq import gptq_scheme
from tests.ggml.tiny_llama import VOCABULARY, TinyLlama

pytestmark = pytest.mark.backend("gptq")
KERNELS = {
    "gptq-8": ("TorchLinear", True),
    "gptq-4": ("TorchAtenLinear", False),
    "gptq-3": ("TorchLinear", True),
    "gptq-2": ("TorchLinear", True),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for all tests here: quantizing takes seconds."""
    return tmp_path_factory.mktemp("gptq-cache")


@pytest.fixture
def load(cache, monkeypatch):
    """load(scheme, model) -> (path, session); closed after the test."""
    monkeypatch.setenv("BENCHGATE_CACHE", str(cache))
    opened = []

    def get(scheme, model=None):
        model = model or TinyLlama()
        monkeypatch.setattr(models, "_items", {**models._items, model.name: model})
        path, session = running.load(Cell(model.name, scheme, "gptq", "cpu"), 1)
        opened.append(session)
        return path, session

    yield get
    for session in opened:
        session.close()


def ids(n, seed=1):
    return np.random.default_rng(seed).integers(0, VOCABULARY, n).tolist()


def torch_logits(sequence):
    import torch

    with torch.inference_mode():
        return TinyLlama().build()(torch.tensor([sequence])).logits[0].numpy()


@pytest.mark.parametrize("scheme", list(KERNELS))
def test_the_record_says_what_ran(load, scheme):
    path, session = load(scheme)
    kernel, dequantises = KERNELS[scheme]
    assert session.kernel["linear"] == {kernel: 14}
    assert session.kernel["dequantises_per_call"] is dequantises
    assert session.kernel["scored_through"] == "weights dequantised once to float32"
    assert session.kernel["tool"].startswith("gptqmodel ")
    assert session.kernel["calibration_sha256"] == schemes[scheme].options["calibration_sha256"]
    assert json.loads((path / "scheme.json").read_text())["bits"] == schemes[scheme].bits
    assert not (path / "source").exists()


def test_fewer_bits_are_smaller_and_further_from_fp32(load):
    sequence = ids(100)
    expected = torch_logits(sequence)
    errors, bits = [], []
    for scheme in ("gptq-8", "gptq-4", "gptq-3", "gptq-2"):
        _, session = load(scheme)
        (found,) = session.logits([sequence], [100])
        assert found.dtype == np.float32
        errors.append(float(np.abs(found - expected).mean()))
        bits.append(session.kernel["bits_per_weight"])
    assert errors == sorted(errors)
    # Steps of 2 x 2.5 sigma / 255 are an error of 0.6 % a layer, and there are 14 on the way.
    assert errors[0] < 0.03 * float(np.abs(expected).mean())
    assert bits == sorted(bits, reverse=True)


@pytest.mark.parametrize("scheme", list(KERNELS))
def test_scoring_and_the_kernel_compute_the_same_weights(load, scheme):
    """In bfloat16 the kernel's logits differ from the float32 ones by rounding only."""
    _, session = load(scheme)
    sequence = np.array([ids(60)], dtype=np.int64)
    (exact,) = session.logits(sequence.tolist(), [1])
    kernel = super(type(session), session).logits(sequence.tolist(), [1])[0]
    assert np.abs(kernel - exact).max() < 0.05 * np.abs(exact).max()
    session.prefill(sequence)
    session.step(np.array([5], dtype=np.int64))
    session.rewind(60)


def test_a_kernel_that_requantises_is_scored_itself(load, monkeypatch):
    scheme = gptq_scheme("gptq-8-int8-kernel", 8, backend="GPTQ_TORCH_INT8")
    monkeypatch.setattr(schemes, "_items", {**schemes._items, scheme.name: scheme})
    _, session = load(scheme.name)
    assert session.kernel["linear"] == {"TorchInt8Linear": 14}
    assert session.kernel["scored_through"] == "the kernel itself"
    sequence = ids(50)
    (found,) = session.logits([sequence], [50])
    assert np.corrcoef(found.ravel(), torch_logits(sequence).ravel())[0, 1] > 0.99


def test_a_vocabulary_of_any_size_and_an_untied_head(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = TinyLlama(vocab_size=515, tie_word_embeddings=False)
    model.name = "tiny-llama-515"
    _, session = load("gptq-4", model)
    assert session.logits([[514, 3, 4]], [1])[0].shape == (1, 515)
    # GPTQModel would leave its logs where it runs.
    assert not (tmp_path / "logs").exists()


def test_a_group_that_does_not_divide_a_layer(tmp_path):
    model = TinyLlama(hidden_size=96, num_attention_heads=3, num_key_value_heads=3, intermediate_size=128)
    with pytest.raises(
        DataError, match=r"gptq-4: group_size 64 does not divide the 96 inputs of .*; it could be 32, 16"
    ):
        runtimes["gptq"].build(model, schemes["gptq-4"], tmp_path)


def test_weights_that_do_not_fit_float16(tmp_path):
    model = TinyLlama()
    module = model.build()
    module.model.norm.weight.data[0] = 1e6
    model.build = lambda: module
    with pytest.raises(DataError, match=r"model.norm.weight: weights up to 1e\+06 do not fit float16"):
        runtimes["gptq"].build(model, schemes["gptq-4"], tmp_path)


def test_an_interrupted_quantization_leaves_nothing(benchgate_cache, monkeypatch):
    from benchgate.runtimes import gptq_model

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(gptq_model, "_shrink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        artifact(TinyLlama(), schemes["gptq-4"], runtimes["gptq"])
    assert [p for p in (benchgate_cache / "artifacts").iterdir() if p.suffix != ".lock"] == []
