"""A causal language model as a text2text model on llama.cpp: the logits of eager torch, beams that share a prompt."""

from __future__ import annotations

import numpy as np
import pytest

from benchgate.core import InvalidOutput, runtimes, schemes
from tests.tasks.text2text.tiny import MODELS, sources

pytestmark = [pytest.mark.backend("torch"), pytest.mark.backend("ggml")]
DECODER = MODELS[-1]
# llama.cpp keeps keys and values in F16; the logits' own deviation is 2.
CLOSE = 0.03


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf")
    runtimes["ggml"].build(DECODER, schemes["fp32"], folder)
    session = runtimes["ggml"].load(folder, DECODER, "cpu", 1)
    yield session
    session.close()


def theirs(source):
    from benchgate.runtimes.torch.text2text import TorchStepper

    return TorchStepper(DECODER.build(), "cpu").begin(source, np.ones_like(source))


@pytest.mark.parametrize("length", [1, 7, 40])
def test_the_logits_of_each_step_are_those_of_torch(session, length):
    source = np.array(sources(length))
    ours, eager, token = session._context(1).begin(source, np.ones_like(source)), theirs(source), 0
    for _ in range(DECODER.max_target):
        found, wanted = ours.step(np.array([token])), eager.step(np.array([token]))
        np.testing.assert_allclose(found, wanted, atol=CLOSE)
        token = int(wanted.argmax())


def test_sequences_that_are_copied_go_on_alone(session):
    source = np.array(sources(11))
    ours, eager = session._context(2).begin(source, np.ones_like(source)), theirs(source)
    both = np.array([0, 0])
    for tokens, order in (([0], both), ([5, 9], np.array([1, 0])), ([7, 8], np.array([1, 1])), ([3, 4], both)):
        found, wanted = ours.step(np.array(tokens)), eager.step(np.array(tokens))
        np.testing.assert_allclose(found, wanted, atol=CLOSE)
        ours.reorder(order)
        eager.reorder(order)


def test_of_a_prompt_nobody_asks_for_more_than_the_last_logits(session):
    """The output layer is a fifth of a small model's arithmetic; for every token of a prompt it would be timed."""
    source = np.array(sources(9))
    context = session._context(1).begin(source, np.ones_like(source))
    assert np.isfinite(context._logits(8)).all()
    with pytest.raises(InvalidOutput, match="no logits for row 3"):
        context._logits(3)


def test_answers_are_as_long_as_allowed_and_a_source_forgets_the_one_before(session):
    first, second = sources(20, 3)
    alone = session.generate([second], 24)
    assert session.generate([first, second], 24)[1:] == alone
    assert len(alone[0]) <= 24
    assert session.generate([second], 24, beams=3) == session.generate([first, second], 24, beams=3)[1:]


def test_quantized_weights_of_any_mixture_answer(tmp_path):
    runtimes["ggml"].build(DECODER, schemes["gguf-q8_0"], tmp_path)
    session = runtimes["ggml"].load(tmp_path, DECODER, "cpu", 1)
    assert session.generate(sources(9), 8)[0]
    session.close()
