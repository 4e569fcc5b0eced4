"""Every text2text runtime on tiny random models: the text of eager torch in fp32, what int8 changes, and bad input."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest

from benchgate.core import Cell, DataError, InvalidOutput, models, runtimes, schemes, support
from benchgate.measuring.resolved import resolve
from benchgate.runtimes.torch.text2text import TorchText2TextSession
from tests.tasks.text2text.tiny import MODELS, VOCABULARY, Tiny, sources

pytestmark = pytest.mark.backend("torch")
T5, GATED, LSTM, TRANSFORMER, DECODER = MODELS
# runtime -> the models that it runs
RUNS = {
    "torch": MODELS,
    "torch-generate": [T5, GATED],
    "torchscript": MODELS,
    "onnxruntime": MODELS,
    "ctranslate2": [T5, GATED],
    "ggml": [T5, GATED],
}
LENGTHS = (3, 20, 11, 40, 1, 17, 33, 29)
BACKEND = {"torch-generate": "torch"}


def cells(names, chosen):
    """Parameters (runtime, model), each needing its runtime."""
    return [
        pytest.param(name, model, id=f"{name}-{model.name}", marks=pytest.mark.backend(BACKEND.get(name, name)))
        for name in names
        for model in chosen(name)
    ]


each_cell = pytest.mark.parametrize(("runtime", "model"), cells(RUNS, lambda name: RUNS[name]))
each_runtime = pytest.mark.parametrize(("runtime", "model"), cells(RUNS, lambda name: RUNS[name][:1]))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture
def load(monkeypatch, artifacts):
    """load(runtime, model, scheme) -> session of the artifact, built once for this module; closed after the test."""
    monkeypatch.setenv("BENCHGATE_CACHE", str(artifacts))

    def get(runtime, model, scheme="fp32"):
        registered.enter_context(models.extended(model))
        session = resolve(Cell(model.name, scheme, runtime, "cpu")).load(1).session
        registered.callback(session.close)
        return session

    with ExitStack() as registered:
        yield get


@functools.cache
def wanted(model, beams):
    """What eager torch answers to each source alone."""
    session = TorchText2TextSession(model.build(), "cpu", {}, model)
    return [session.generate([source], 24, beams)[0] for source in sources(*LENGTHS)]


@each_cell
def test_fp32_says_what_eager_torch_says(load, runtime, model):
    """Greedy and beams, one at a time and in a batch: padding and neighbours change nothing."""
    session, given = load(runtime, model), sources(*LENGTHS)
    for beams in (1, 3):
        assert session.generate(given, 24, beams) == wanted(model, beams)
        assert [session.generate([source], 24, beams)[0] for source in given[:3]] == wanted(model, beams)[:3]
    assert session(given[:2]) == wanted(model, 1)[:2]
    assert session.generate(given[:2], 5) == [answer[:5] for answer in wanted(model, 1)[:2]]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_random_models_say_something(model):
    """Answers of one token over and over would make the test above easy."""
    greedy = wanted(model, 1)
    assert len({tuple(answer) for answer in greedy}) >= len(LENGTHS) - 1
    assert max(len(set(answer)) for answer in greedy) >= 8
    assert wanted(model, 3) != greedy


def test_some_answers_end_before_the_limit():
    lengths = {len(answer) for answer in wanted(GATED, 1)}
    assert 24 in lengths
    assert min(lengths) < 24


INT8 = [
    ("torch", T5, "int8-dynamic"), ("torch", T5, "bf16"), ("torch-generate", T5, "int8-dynamic"),
    ("torchscript", T5, "int8-dynamic"), ("torchscript", LSTM, "int8-dynamic"), ("onnxruntime", T5, "int8-dynamic"),
    ("onnxruntime", LSTM, "int8-dynamic"), ("onnxruntime", TRANSFORMER, "int8-dynamic"),
    ("ctranslate2", T5, "int8-dynamic"), ("ggml", T5, "gguf-f16"), ("ggml", T5, "gguf-q8_0"),
    ("ggml", GATED, "gguf-q4_0"), ("onnxruntime", DECODER, "int8-dynamic"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("runtime", "model", "scheme"),
    [
        pytest.param(*cell, id="-".join((cell[0], cell[1].name, cell[2])),
                     marks=pytest.mark.backend(BACKEND.get(cell[0], cell[0])))
        for cell in INT8
    ],
)  # fmt: skip
def test_a_compressed_model_is_smaller_and_says_nearly_the_same(load, runtime, model, scheme):
    """The first token, before differences grow; of random models, where all tokens are about as likely."""
    exact, session = load(runtime, model), load(runtime, model, scheme)
    given = [[token] for token in range(2, VOCABULARY)]
    pairs = zip(exact.generate(given, 1), session.generate(given, 1), strict=True)
    same = sum(one == other for one, other in pairs)
    assert same >= len(given) * (0.55 if scheme == "gguf-q4_0" else 0.75)
    assert session.weights_bytes < 0.6 * exact.weights_bytes
    assert session.kernel != exact.kernel


@pytest.mark.parametrize(
    ("runtime", "scheme", "words"),
    [
        ("torch", "int8-dynamic", "Int8Tensor"),
        pytest.param("torchscript", "int8-dynamic", "quantized::linear_dynamic",
                     marks=pytest.mark.backend("torchscript")),
        pytest.param("onnxruntime", "int8-dynamic", "MatMulIntegerToFloat", marks=pytest.mark.backend("onnxruntime")),
        pytest.param("ctranslate2", "int8-dynamic", "int8_float32", marks=pytest.mark.backend("ctranslate2")),
        pytest.param("ggml", "gguf-q8_0", "Q8_0", marks=pytest.mark.backend("ggml")),
    ],
)  # fmt: skip
def test_the_kernel_says_what_runs(load, runtime, scheme, words):
    assert words in str(load(runtime, T5, scheme).kernel)
    assert words not in str({k: v for k, v in load(runtime, T5).kernel.items() if k != "cpu_types"})


@each_runtime
def test_bad_input_is_refused_before_the_model_sees_it(load, runtime, model):
    session = load(runtime, model)
    assert session.generate([], 5) == []
    for given, message in (
        ([[2], []], "source 1 has 0 tokens; allowed are 1 to 40"),
        ([[2] * 41], "source 0 has 41 tokens"),
        ([[VOCABULARY]], f"allowed are 0 to {VOCABULARY - 1}"),
        ([[-1]], "token ids -1 to -1"),
    ):
        with pytest.raises(DataError, match=message):
            session.generate(given, 5)
    with pytest.raises(DataError, match="max_new_tokens 25 must be 1 to 24"):
        session.generate([[2]], 25)
    with pytest.raises(DataError, match="beams 0"):
        session.generate([[2]], 5, beams=0)


@pytest.mark.parametrize(
    ("runtime", "model"), cells(RUNS, lambda name: [] if name == "torch-generate" else RUNS[name][:1])
)
@pytest.mark.parametrize("beams", [1, 2])
def test_nan_logits_are_no_answer(load, runtime, model, beams):
    """From one broken weight of the output layer, or for llama.cpp from one that its file can hold."""

    class Broken(Tiny):
        def build(self):
            module = super().build()
            module.t5.encoder.final_layer_norm.weight.data[3] = float("inf")
            return module

    if runtime == "ggml":
        with pytest.raises(DataError, match="NaN or infinite weights"):
            load(runtime, Broken("broken-t5", "t5"))
        return
    if runtime == "torchscript":
        with pytest.raises(DataError, match="logits are NaN or infinite"):
            load(runtime, Broken("broken-t5", "t5"))
        return
    session = load(runtime, Broken("broken-t5", "t5"))
    with pytest.raises(InvalidOutput):
        session.generate([[2, 3]], 5, beams)


FILES = {
    "torch": "weights.pt",
    "torchscript": "program.pt",
    "onnxruntime": "step.onnx",
    "ctranslate2": "model.bin",
    "ggml": "model.gguf",
}


@pytest.mark.parametrize(("runtime", "model"), cells(FILES, lambda name: RUNS[name][:1]))
@pytest.mark.parametrize(
    "damage", [lambda raw: b"", lambda raw: raw[: len(raw) // 2], lambda raw: b"not a model" * 100],
    ids=["empty", "half", "text"],
)  # fmt: skip
def test_a_damaged_artifact_is_named(tmp_path, runtime, model, damage):
    out = tmp_path / "built"
    out.mkdir()
    runtimes[runtime].build(model, schemes["fp32"], out)
    file = out / FILES[runtime]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=str(out)):
        runtimes[runtime].load(out, model, "cpu", 1)


def refusals():
    other = Tiny("words", "t5", task="causal-lm")
    return [
        ("torch", LSTM, "int8-dynamic", "compresses linear layers, lstm models are LSTM layers"),
        ("torch-generate", LSTM, "fp32", "runs the T5 architecture, tiny-lstm has another"),
        ("torch-generate", other, "fp32", "runs text2text models, words is for causal-lm"),
        ("torchscript", other, "fp32", "runs text2text models"),
        ("torchscript", T5, "bf16", "no bf16, only float32"),
        ("onnxruntime", T5, "fp16", "onnxruntime has no fp16, only float32"),
        ("onnxruntime", T5, "int8-static", "onnxruntime has no int8-static compression"),
        ("ctranslate2", TRANSFORMER, "fp32", "runs the T5 architecture"),
        ("ctranslate2", T5, "bf16", "no bf16, only float32"),
        ("ggml", LSTM, "fp32", "runs the T5 architecture"),
        ("ggml", T5, "gguf-q4_k_m", "ggml has T5 as F32, F16, Q8_0, Q4_0"),
        ("ggml", T5, "int8-dynamic", "no int8-dynamic compression"),
    ]


@pytest.mark.parametrize(("runtime", "model", "scheme", "reason"), refusals())
def test_what_makes_no_sense_is_refused(runtime, model, scheme, reason):
    assert reason in support.refusal(model, schemes[scheme], runtimes[runtime])


@each_cell
def test_what_makes_sense_is_not_refused(runtime, model):
    assert support.refusal(model, schemes["fp32"], runtimes[runtime]) is None
    assert runtimes[runtime].missing("cpu") is None


@pytest.mark.backend("torchscript")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_that_holds_a_length_is_refused():
    from benchgate.runtimes.torchscript.runtime import trace

    module = T5.build()

    def step(tokens, memory, cache):
        logits, longer = type(module).step(module, tokens, memory, cache)
        return logits * float(cache[0].shape[2]), longer

    module.step = step
    with pytest.raises(DataError, match="tiny-t5: its traced functions answer otherwise for a batch of"):
        trace(module, T5)


@pytest.mark.backend("ggml")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relative_attention_max_distance": 64}, "relative_attention_max_distance is 64"),
        ({"feed_forward_proj": "silu"}, "dense_act_fn is 'silu'"),
    ],
)
def test_a_t5_that_llama_cpp_would_compute_otherwise(tmp_path, change, message):
    from transformers import T5Config, T5ForConditionalGeneration

    from benchgate.tasks.text2text.t5 import T5Seq2Seq

    config = T5Config(vocab_size=61, d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2, **change)

    module = T5Seq2Seq(T5ForConditionalGeneration(config))
    other = SimpleNamespace(name="other", task="text2text", build=lambda: module)
    with pytest.raises(DataError, match=message):
        runtimes["ggml"].build(other, schemes["fp32"], tmp_path)


def test_at_the_limit_running_beams_count_as_they_do_in_transformers(load):
    given = sources(5, 9)
    for limit in (1, 2, 7):
        assert load("torch-generate", GATED).generate(given, limit, 4) == load("torch", GATED).generate(given, limit, 4)


def test_logits_come_as_float32_numpy(load):
    decoding = load("torch", T5, "bf16").stepper.begin(np.array([[2, 3]]), np.ones((1, 2), dtype=np.int64))
    assert decoding.step(np.array([0])).dtype == np.float32


@pytest.mark.backend("torchscript")
def test_compiled_functions_say_the_same_and_count_their_graphs(load):
    """begin and step are graphs of their own; lengths that were seen need no new one."""
    missing = runtimes["torch-compile"].missing("cpu")
    if missing:
        pytest.skip(missing)
    session = load("torch-compile", LSTM)
    [source] = sources(5)
    assert session.generate([source], 6) == load("torch", LSTM).generate([source], 6)
    graphs = session.kernel["graphs"]
    assert graphs >= 2
    session.generate([source], 6)
    assert session.kernel["graphs"] == graphs
