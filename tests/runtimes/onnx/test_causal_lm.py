"""Language models on ONNX Runtime: a tiny random Llama against torch, with and without its cache, in every scheme."""

import numpy as np
import pytest

import benchgate.schemes  # noqa: F401  registers them
from benchgate.core import DataError, Lapped, Scheme, schemes, tasks
from benchgate.runtimes.onnx import causal_lm as onnx_lm
from benchgate.runtimes.onnx.runtime import OnnxRuntime
from benchgate.storage.artifacts import artifact, artifact_bytes
from benchgate.tasks.causal_lm import task as causal_lm
from tests.runtimes.ggml.tiny_llama import VOCABULARY, TinyLlama

pytestmark = pytest.mark.backend("onnxruntime")
INT4 = ["int4-weight-only", "int4-g16"]
GROUP_16 = Scheme("int4-g16", 4, "int4-weight-only", {"group_size": 16})
SCHEMES = {
    "fp32": schemes["fp32"],
    "int8-dynamic": schemes["int8-dynamic"],
    INT4[0]: schemes[INT4[0]],
    INT4[1]: GROUP_16,
}
RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(0, VOCABULARY, (2, 9))
# Largest difference of a logit from torch's, as a share of the largest: what weights in blocks may lose.
CLOSE = {"fp32": 1e-5, "int8-dynamic": 0.05, "int4-weight-only": 0.5, "int4-g16": 0.5}


@pytest.fixture(scope="module")
def model():
    for name in ("onnxruntime", "onnx", "onnxscript", "torch", "transformers"):
        pytest.importorskip(name)
    return TinyLlama()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """scheme name -> artifact; one cache for all of them, so that the model is exported once."""
    cache = tmp_path_factory.mktemp("cache")

    def get(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BENCHGATE_CACHE", str(cache))
            return artifact(model, SCHEMES[name], OnnxRuntime())

    return get


@pytest.fixture
def load(model, folder):
    opened = []

    def get(name="fp32", threads=1):
        opened.append(OnnxRuntime().load(folder(name), model, "cpu", threads))
        return opened[-1]

    yield get
    for session in opened:
        session.close()


@pytest.fixture(scope="module")
def expected(model):
    """What torch itself answers: logits [batch, length, vocabulary]."""
    import torch

    with torch.inference_mode():
        return model.build()(torch.from_numpy(TOKENS)).logits.numpy()


def difference(found, truth):
    return float(np.abs(found - truth).max() / np.abs(truth).max())


@pytest.mark.parametrize("name", SCHEMES)
def test_logits_are_those_of_torch(load, expected, name):
    session = load(name)
    rows = session.logits(TOKENS.tolist(), [9, 3])
    assert [row.shape for row in rows] == [(9, VOCABULARY), (3, VOCABULARY)]
    assert difference(rows[0], expected[0]) < CLOSE[name]
    assert difference(rows[1], expected[1, -3:]) < CLOSE[name]
    assert rows[0].dtype == np.float32


def test_compressed_is_not_float(load, expected):
    for name in SCHEMES.keys() - {"fp32"}:
        assert difference(load(name).logits(TOKENS.tolist(), [9, 9])[0], expected[0]) > 1e-4


def test_rows_of_other_lengths_do_not_matter(load):
    session = load()
    alone = session.logits([TOKENS[0, :4].tolist()], [2])[0]
    beside = session.logits([TOKENS[0, :4].tolist(), TOKENS[1].tolist()], [2, 1])[0]
    assert beside == pytest.approx(alone, abs=1e-5)


def test_prefill_and_steps_are_the_whole_sequence_at_once(load, expected):
    session = load()
    assert session.prefill(TOKENS[:, :5]).tolist() == expected[:, 4].argmax(-1).tolist()
    for position in range(5, 9):
        assert session.step(TOKENS[:, position]).tolist() == expected[:, position].argmax(-1).tolist()
    assert session(TOKENS) == pytest.approx(expected[:, -1], abs=1e-4)


def test_rewind_forgets_what_came_after(load, expected):
    session = load()
    session.prefill(TOKENS[:, :5])
    session.step((TOKENS[:, 5] + 1) % VOCABULARY)
    session.rewind(5)
    assert session.step(TOKENS[:, 5]).tolist() == expected[:, 5].argmax(-1).tolist()
    session.rewind(6)
    with pytest.raises(DataError, match="cannot go back to 7 positions; there are 6"):
        session.rewind(7)


def test_scoring_leaves_the_cache_alone(load, expected):
    session = load()
    session.prefill(TOKENS[:, :5])
    session.logits([[1, 2, 3]], [1])
    assert session.step(TOKENS[:, 5]).tolist() == expected[:, 5].argmax(-1).tolist()


def test_what_it_says_of_itself(load):
    plain, quantized = load(threads=2), load("int4-weight-only")
    assert (plain.context_limit, plain.vocabulary) == (512, VOCABULARY)
    assert (plain.kernel["threads"], plain.kernel["provider"]) == (2, "CPUExecutionProvider")
    # Seven linear layers a block, and the head.
    assert plain.kernel["operators"]["MatMul float32"] >= 15
    assert quantized.kernel["operators"]["MatMulNBits float32"] == 14
    assert plain.kernel["dequantises_per_call"] is False
    assert "prefill" in quantized.kernel["dequantises_per_call"]
    assert load("int4-g16").kernel["linear"] == "4 bits in blocks of 16, accuracy_level 0"


def test_int8_computes_with_integer_activations(load, expected):
    session = load("int8-dynamic")
    assert session.kernel["operators"]["MatMulNBits float32"] == 14
    assert session.kernel["linear"] == "8 bits in blocks of 32, accuracy_level 4"
    assert session.kernel["dequantises_per_call"] is False


def test_sizes(folder, load):
    full, quantized = artifact_bytes(folder("fp32")), artifact_bytes(folder("int4-weight-only"))
    weights = load().weights_bytes
    # The tied head is one weight in the file, and 4 bits leave it and the embedding as they are.
    embedding = VOCABULARY * 256 * 4
    assert weights == pytest.approx(full, rel=0.1)
    four_bits = quantized - embedding
    assert four_bits < 0.25 * (full - embedding)
    assert artifact_bytes(folder("int4-g16")) - embedding > four_bits, "smaller blocks have more scales"


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (lambda s: s.step(TOKENS[:, 0]), "call prefill first"),
        (lambda s: s.rewind(1), "there are 0"),
        (lambda s: s.prefill(np.full((1, 3), VOCABULARY)), "token ids must be 0 to 511; got 512 to 512"),
        (lambda s: s.logits([[3, -1]], [1]), "got -1 to 3: is the tokenizer"),
        (lambda s: s.prefill(TOKENS[:, :0]), "no tokens; at least one"),
    ],
    ids=["step", "rewind", "above", "below", "none"],
)
def test_errors(load, ask, problem):
    with pytest.raises(DataError, match=problem):
        ask(load())


@pytest.mark.parametrize(
    ("said", "kind"),
    [("Failed to allocate memory for requested buffer of size 8", MemoryError), ("Softmax node failed", DataError)],
)
def test_what_onnxruntime_raises(load, monkeypatch, said, kind):
    session = load()

    class Refusing:
        io_binding = session.session.io_binding

        def run_with_iobinding(self, binding):
            raise RuntimeError(f"Error in execution: {said}")

    monkeypatch.setattr(session, "session", Refusing())
    with pytest.raises(kind, match=f"failed on 2 x 9 tokens: .*{said}"):
        session.prefill(TOKENS)


def test_the_tasks_own_operations(load, model):
    session = load()
    for operation in causal_lm.CausalLMTask.operations.values():
        work = operation(session, model, causal_lm.PROMPT, context=16)
        if work.begin:
            work.begin()
        if work.prepare:
            work.prepare()
        output = work.call()
        work.check(output.output if isinstance(output, Lapped) else output)
    assert tasks["causal-lm"].sample(model, 1).shape == (1, 128)


def test_another_graph_is_not_taken(model, tmp_path):
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [result])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "model.onnx")
    with pytest.raises(DataError, match="not a language model that benchgate exported"):
        OnnxRuntime().load(tmp_path, model, "cpu", 1)


def test_a_cache_that_forgets_is_refused(model, tmp_path):
    from transformers import MistralConfig, MistralForCausalLM

    class Sliding(TinyLlama):
        name = "sliding"

        def build(self):
            return MistralForCausalLM(
                MistralConfig(
                    hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
                    num_key_value_heads=2, vocab_size=64, sliding_window=4,
                )
            )  # fmt: skip

    with pytest.raises(DataError, match=r"sliding: its cache has DynamicSlidingWindowLayer; only DynamicLayer"):
        onnx_lm.build(Sliding(), schemes["fp32"], tmp_path, OnnxRuntime())
