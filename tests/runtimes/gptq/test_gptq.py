"""GPTQ of a tiny random Llama: real kernels, honest scores, nothing left behind when it is interrupted.

The same tests hold for both libraries, in an environment each. GPTQModel compiles its packing once with g++, about
100 s the first time on a machine.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from benchgate.core import Cell, DataError, Unavailable, models, runtimes, schemes
from benchgate.machine.limits import is_out_of_memory
from benchgate.measuring.resolved import resolve
from benchgate.runtimes.gptq.runtime import LIBRARIES, gptq_scheme, installed
from benchgate.storage.artifacts import artifact
from tests.runtimes.ggml.tiny_llama import VOCABULARY, TinyLlama

pytestmark = pytest.mark.backend("gptq")
SCHEMES = ["gptq-8", "gptq-4", "gptq-3", "gptq-2"]
# Scheme -> the kernel that runs it and whether that dequantises all weights in every call.
KERNELS = {
    "gptqmodel": dict.fromkeys(SCHEMES, ("TorchLinear", True)) | {"gptq-4": ("TorchAtenLinear", False)},
    "auto_gptq": dict.fromkeys(SCHEMES, ("QuantLinear cuda-old", True)),
}
only_gptqmodel = pytest.mark.skipif(installed() != "gptqmodel", reason="a matter of GPTQModel's")
only_auto_gptq = pytest.mark.skipif(installed() != "auto_gptq", reason="a matter of auto-gptq's")


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
        registered.enter_context(models.extended(model))
        loaded = resolve(Cell(model.name, scheme, "gptq", "cpu")).load(1)
        path, session = loaded.path, loaded.session
        opened.append(session)
        return path, session

    with ExitStack() as registered:
        yield get
    for session in opened:
        session.close()


def ids(n, seed=1):
    return np.random.default_rng(seed).integers(0, VOCABULARY, n).tolist()


def torch_logits(sequence):
    import torch

    with torch.inference_mode():
        return TinyLlama().build()(torch.tensor([sequence])).logits[0].numpy()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_record_says_what_ran(load, scheme):
    path, session = load(scheme)
    kernel, dequantises = KERNELS[installed()][scheme]
    assert session.kernel["linear"] == {kernel: 14}
    assert session.kernel["dequantises_per_call"] is dequantises
    assert session.kernel["scored_through"] == "weights dequantised once to float32"
    assert session.kernel["tool"].startswith(f"{installed()} ")
    assert session.kernel["calibration_sha256"] == schemes[scheme].options["calibration_sha256"]
    assert json.loads((path / "scheme.json").read_text())["bits"] == schemes[scheme].bits
    assert not (path / "source").exists()


def test_fewer_bits_are_smaller_and_further_from_fp32(load):
    sequence = ids(100)
    expected = torch_logits(sequence)
    errors, bits = [], []
    for scheme in SCHEMES:
        _, session = load(scheme)
        (found,) = session.logits([sequence], [100])
        assert found.dtype == np.float32
        errors.append(float(np.abs(found - expected).mean()))
        bits.append(session.kernel["bits_per_weight"])
    assert errors == sorted(errors)
    # Steps of 2 x 2.5 sigma / 255 are an error of 0.6 % a layer, and there are 14 on the way.
    assert errors[0] < 0.03 * float(np.abs(expected).mean())
    assert bits == sorted(bits, reverse=True)


@pytest.mark.parametrize("scheme", SCHEMES)
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


@only_gptqmodel
def test_a_kernel_that_requantises_is_scored_itself(load):
    scheme = gptq_scheme("gptq-8-int8-kernel", 8, backend="GPTQ_TORCH_INT8")
    with schemes.extended(scheme):
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
        DataError, match=r"gptq-8: group_size 64 does not divide the 96 inputs of .*; it could be 32, 16"
    ):
        runtimes["gptq"].build(model, schemes["gptq-8"], tmp_path)


def test_weights_that_do_not_fit_float16(tmp_path):
    model = TinyLlama()
    module = model.build()
    module.model.norm.weight.data[0] = 1e6
    model.build = lambda: module
    with pytest.raises(DataError, match=r"model.norm.weight: weights up to 1e\+06 do not fit float16"):
        runtimes["gptq"].build(model, schemes["gptq-4"], tmp_path)


def test_an_interrupted_quantization_leaves_nothing(benchgate_cache, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module(LIBRARIES[installed()][1]), "shrink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        artifact(TinyLlama(), schemes["gptq-4"], runtimes["gptq"])
    assert [p for p in (benchgate_cache / "artifacts").iterdir() if p.suffix != ".lock"] == []


# A run in the background ignores SIGINT, and so would what it starts.
INTERRUPTED = """
import contextlib, importlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from benchgate.storage.artifacts import artifact
from benchgate.core import runtimes, schemes
from benchgate.runtimes.gptq.runtime import LIBRARIES, installed
from tests.runtimes.ggml.tiny_llama import TinyLlama

@contextlib.contextmanager
def progress(title, total):
    yield lambda n: print("a layer", file=sys.stderr, flush=True)

importlib.import_module(LIBRARIES[installed()][1]).progress = progress
artifact(TinyLlama(num_hidden_layers=12), schemes["gptq-4"], runtimes["gptq"])
"""


def test_ctrl_c_in_the_middle_leaves_nothing(benchgate_cache):
    """A process of its own, with the libraries' threads at work when the signal comes."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stderr=subprocess.PIPE, text=True, env=environment)
    said = []
    with process:
        for line in process.stderr:
            said.append(line)
            if "a layer" in line:
                process.send_signal(signal.SIGINT)
            if line.startswith("KeyboardInterrupt"):
                break
        # What is left to do for Python is to end the libraries' threads; nothing of ours.
        process.kill()
    assert said[-1].startswith("KeyboardInterrupt"), "".join(said)
    assert [p for p in (benchgate_cache / "artifacts").iterdir() if p.suffix != ".lock"] == []


def integers(packed, bits, rows):
    """Unpacked along the first axis: int32 words hold `bits` wide values, the lowest first. For 2, 4 and 8 bits."""
    shifts = np.arange(0, 32, bits)[None, :, None]
    found = (packed.view(np.uint32)[:, None, :] >> shifts) & (2**bits - 1)
    return found.reshape(-1, packed.shape[1])[:rows].astype(np.int64)


@pytest.mark.parametrize("scheme", ["gptq-8", "gptq-4", "gptq-2"])
def test_the_file_is_in_the_format_that_others_read(load, scheme):
    """Unpacked here with nothing but the format's definition: scale x (integer - (stored zero + 1))."""
    from safetensors.numpy import load_file

    path, session = load(scheme)
    options, bits = schemes[scheme].options, schemes[scheme].bits
    (file,) = path.glob("*.safetensors")
    tensors = load_file(file)
    name = "model.layers.1.mlp.down_proj"
    part = {kind: tensors[f"{name}.{kind}"] for kind in ("qweight", "qzeros", "scales", "g_idx")}
    assert {kind: str(tensor.dtype) for kind, tensor in part.items()} == {
        "qweight": "int32", "qzeros": "int32", "scales": "float16", "g_idx": "int32"
    }  # fmt: skip
    rows = 512
    assert part["scales"].shape == (rows // options["group_size"], 256)
    weights = integers(part["qweight"], bits, rows)
    zeros = (integers(np.ascontiguousarray(part["qzeros"].T), bits, 256).T + 1) & (2**bits - 1)
    own = part["scales"].astype(np.float32)[part["g_idx"]] * (weights - zeros[part["g_idx"]])
    session.logits([ids(4)], [1])
    theirs = session._scorer.module.get_submodule(name).weight.numpy().T
    assert np.abs(own - theirs).max() <= 2e-3 * np.abs(own).max()


def test_a_tied_head_is_the_embedding(load):
    """And both are the model's own: auto-gptq leaves a head that is not in the file uninitialised."""
    _, session = load("gptq-4")
    session.logits([ids(4)], [1])
    expected = TinyLlama().build().get_input_embeddings().weight.detach().half().float()
    for module in (session.module, session._scorer.module):
        for part in (module.get_input_embeddings(), module.get_output_embeddings()):
            assert (part.weight.detach().half().float() - expected).abs().max() < 2e-3


@only_auto_gptq
def test_models_made_after_auto_gptq_are_as_before(tmp_path):
    """It takes initialisation out of torch and transformers, and here it was told that there is CUDA."""
    import torch

    before = torch_logits([1, 2, 3])
    runtimes["gptq"].build(TinyLlama(num_hidden_layers=1), schemes["gptq-4"], tmp_path)
    runtimes["gptq"].load(tmp_path, TinyLlama(num_hidden_layers=1), "cpu", 1).close()
    assert np.array_equal(torch_logits([1, 2, 3]), before)
    assert not torch.cuda.is_available() or torch.version.cuda


@only_auto_gptq
def test_what_only_gptqmodel_has_is_unavailable(tmp_path):
    scheme = gptq_scheme("gptq-8-int8-kernel", 8, backend="GPTQ_TORCH_INT8")
    with pytest.raises(Unavailable, match="backend GPTQ_TORCH_INT8 is a kernel of GPTQModel's"):
        runtimes["gptq"].build(TinyLlama(), scheme, tmp_path)


def test_running_out_of_memory_is_an_outcome_and_leaves_nothing(benchgate_cache, monkeypatch):
    """A layer whose Hessian finds no room: torch's own error, out of the library's own threads."""
    import torch

    real = torch.linalg.cholesky

    def no_room(*arguments, **options):
        torch.empty(2**50)
        return real(*arguments, **options)

    monkeypatch.setattr(torch.linalg, "cholesky", no_room)
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        artifact(TinyLlama(), schemes["gptq-4"], runtimes["gptq"])
    assert is_out_of_memory(raised.value)
    assert [p for p in (benchgate_cache / "artifacts").iterdir() if p.suffix != ".lock"] == []


def test_progress_by_layer(tmp_path, monkeypatch):
    counted = []

    @contextlib.contextmanager
    def progress(label, total):
        counted.append((label, total))
        yield lambda n: counted.append(n)

    monkeypatch.setattr(importlib.import_module(LIBRARIES[installed()][1]), "progress", progress)
    runtimes["gptq"].build(TinyLlama(num_hidden_layers=3), schemes["gptq-4"], tmp_path)
    assert counted == [("tiny-llama as gptq-4: layers quantized", 3), 1, 1, 1]
