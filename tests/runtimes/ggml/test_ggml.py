"""llama.cpp on a tiny random Llama: the same answers as torch, every quantization, and files that are not whole."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest

from benchgate.core import Cell, DataError, InvalidOutput, models, tasks
from benchgate.measuring.resolved import resolve
from benchgate.tasks.causal_lm.passages import Passages
from tests.runtimes.ggml.tiny_llama import VOCABULARY, TinyLlama

pytestmark = pytest.mark.backend("ggml")
GGUF = ["gguf-f16", "gguf-q8_0", "gguf-q6_k", "gguf-q4_k_m", "gguf-q4_0", "gguf-q3_k_m", "gguf-q2_k"]


@pytest.fixture
def use():
    """use(TinyLlama(...)) registers a model for this test."""

    def register(model):
        registered.enter_context(models.extended(model))
        return model

    with ExitStack() as registered:
        yield register


@pytest.fixture
def load(use):
    """load(scheme, model) -> session of the built artifact; closed after the test."""
    opened = []

    def get(scheme="gguf-f16", model=None, threads=1):
        name = use(model or TinyLlama()).name
        opened.append(resolve(Cell(name, scheme, "ggml", "cpu")).load(threads).session)
        return opened[-1]

    yield get
    for session in opened:
        session.close()


def ids(*lengths, seed=1):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, VOCABULARY, n).tolist() for n in lengths]


def torch_logits(model, sequences):
    import torch

    module = model.build()
    with torch.inference_mode():
        return [module(torch.tensor([sequence])).logits[0].numpy() for sequence in sequences]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": False},
        {"attention_bias": True, "mlp_bias": True},
        {"num_key_value_heads": 4, "head_dim": 32},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "factor": 8.0,
                "rope_theta": 500000.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ],
    ids=["plain", "untied", "biases", "head_dim", "linear-rope", "llama3-rope"],
)
def test_fp32_gives_torchs_logits(load, changes):
    model = TinyLlama(**changes)
    sequences = ids(3, 200)
    expected = torch_logits(model, sequences)
    found = load("fp32", model).logits(sequences, [3, 200])
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == np.float32
        # The key-value cache is float16.
        assert np.abs(ours - theirs).max() < 0.01


def test_a_file_of_fewer_bits_is_smaller_and_further_from_fp32(load):
    sequences = ids(150)
    (expected,) = torch_logits(TinyLlama(), sequences)
    bits, errors = [], []
    for scheme in GGUF:
        session = load(scheme)
        bits.append(session.kernel["bits_per_weight"])
        errors.append(float(np.abs(session.logits(sequences, [150])[0] - expected).mean()))
    order = [GGUF.index(name) for name in ("gguf-f16", "gguf-q8_0", "gguf-q6_k", "gguf-q3_k_m", "gguf-q2_k")]
    assert [bits[i] for i in order] == sorted((bits[i] for i in order), reverse=True)
    assert [errors[i] for i in order] == sorted(errors[i] for i in order)
    assert bits[0] == pytest.approx(16, abs=0.1)


def test_rows_that_do_not_divide_fall_back_and_the_kernel_says_so(load):
    """Rows of 96 are no multiple of 256: Q4_K falls back to Q5_0, the tied embedding to Q8_0."""
    session = load("gguf-q4_k_m", TinyLlama(hidden_size=96, intermediate_size=192, num_attention_heads=3,
                                            num_key_value_heads=1, head_dim=32))  # fmt: skip
    assert set(session.kernel["weights"]) == {"Q5_0", "Q8_0", "F32"}
    assert session.kernel["bits_per_weight"] > 5.5


def test_rows_of_no_multiple_of_32_stay_float16(load):
    session = load("gguf-q2_k", TinyLlama(hidden_size=72, intermediate_size=96, num_attention_heads=3,
                                          num_key_value_heads=3, head_dim=24))  # fmt: skip
    assert session.kernel["weights"]["F16"] > 0


def test_a_vocabulary_of_any_size(load):
    model = TinyLlama(vocab_size=515)
    assert load("gguf-q4_0", model).vocabulary == 515


@pytest.mark.parametrize("batch", [1, 3])
def test_steps_continue_the_prompt_as_reading_it_whole_does(load, batch):
    session = load("fp32")
    prompt = np.array(ids(*[40] * batch), dtype=np.int64)
    following = session.prefill(prompt)
    assert following.shape == (batch,)
    sequence = np.concatenate([prompt, following[:, None]], axis=1)
    for _ in range(3):
        following = session.step(following)
        sequence = np.concatenate([sequence, following[:, None]], axis=1)
    whole = session.logits(sequence[:, :-1].tolist(), [4] * batch)
    assert [rows.argmax(axis=1).tolist() for rows in whole] == sequence[:, -4:].tolist()


def test_rewind_forgets_what_came_after(load):
    session = load("fp32")
    prompt = np.array(ids(30), dtype=np.int64)
    first = session.prefill(prompt)
    second = session.step(first)
    session.step(second)
    session.rewind(30)
    assert session.step(first).tolist() == second.tolist()
    with pytest.raises(DataError, match="cannot go back to 99 positions; there are 31"):
        session.rewind(99)


def test_scoring_leaves_a_prompt_as_it_is(load):
    session = load("fp32")
    first = session.prefill(np.array(ids(30), dtype=np.int64))
    before = session.step(first)
    session.rewind(30)
    session.logits(ids(60, seed=5), [1])
    assert session.step(first).tolist() == before.tolist()


def test_a_prompt_grows_past_its_cache(load):
    """A cache of 256 positions more than the prompt is made anew when it is full, with what was in it."""
    session = load("fp32")
    prompt = np.array(ids(100), dtype=np.int64)
    following = session.prefill(prompt)
    sequence = prompt[0].tolist()
    for _ in range(300):
        sequence.append(int(following[0]))
        following = session.step(following)
    expected = session.logits([sequence], [1])[0][-1].argmax()
    assert following[0] == expected


def test_more_tokens_than_one_call_takes(load):
    """20 sequences of 200 are more than llama.cpp's 2,048 tokens a call."""
    session = load("fp32")
    prompts = np.array(ids(*[200] * 20), dtype=np.int64)
    together = session.prefill(prompts)
    alone = [int(rows[-1].argmax()) for rows in session.logits(prompts.tolist(), [1] * 20)]
    assert together.tolist() == alone


def test_scores_do_not_depend_on_the_threads(load):
    sequences = ids(120)
    one, two = (load("gguf-q4_0", threads=n).logits(sequences, [120])[0] for n in (1, 2))
    assert np.array_equal(one, two)


def test_limits_are_refused_before_the_library_sees_them(load):
    session = load()
    assert (session.context_limit, session.vocabulary) == (512, VOCABULARY)
    with pytest.raises(DataError, match="513 positions are more than this model's 512"):
        session.prefill(np.zeros((1, 513), dtype=np.int64))
    with pytest.raises(DataError, match="at most 256 sequences"):
        session.prefill(np.zeros((257, 2), dtype=np.int64))
    for tokens in ([[VOCABULARY]], [[-1]], [[]]):
        with pytest.raises(DataError, match="token ids must be 0 to 511"):
            session.prefill(np.array(tokens, dtype=np.int64))
    with pytest.raises(DataError, match="call prefill first"):
        session.step(np.zeros(1, dtype=np.int64))


def test_the_task_scores_and_times_it(load):
    model = TinyLlama()
    session = load("gguf-q8_0", model)
    session.identity = "tiny-q8_0"
    data = Passages("two", "00", (("the ship went down to the", "sea"), ("a quiet", "West")), total=2)
    found = tasks[model.task].score(session, model, data)
    assert found["perplexity"].value > 1
    assert found["top1"].n == 2


def test_no_room_in_the_cache_is_out_of_memory(load):
    session = load()
    session.prefill(np.array(ids(5), dtype=np.int64))
    assert session._generating.positions == 512
    with pytest.raises(MemoryError, match="no room in a cache of 1 x 512 for 1 x 600 tokens from 5"):
        session._generating.run(np.zeros((1, 600), dtype=np.int64), 5, 1, np.argmax)


def test_a_failing_decode_is_no_answer(load, monkeypatch):
    session = load()
    monkeypatch.setattr(session._library, "c", BrokenDecode(session._library.c))
    with pytest.raises(InvalidOutput, match="llama_decode of 5 tokens returned -3"):
        session.prefill(np.array(ids(5), dtype=np.int64))
    monkeypatch.undo()


class BrokenDecode:
    """The library, but decoding fails."""

    def __init__(self, c):
        self._c = c

    def __getattr__(self, name):
        return (lambda *_: -3) if name == "llama_decode" else getattr(self._c, name)
