"""A causal language model that rewrites, on llama.cpp: its prompt goes the way of its answer."""

from __future__ import annotations

import numpy as np
import pytest

from benchgate.core import Cell, InvalidOutput, models
from benchgate.measuring.resolved import resolve
from benchgate.runtimes.torch.text2text import TorchText2TextSession
from tests.tasks.text2text.tiny import MODELS, sources

pytestmark = [pytest.mark.backend("torch"), pytest.mark.backend("ggml")]
DECODER = MODELS[-1]
# Of logits that spread over 10: llama.cpp keeps keys and values as 16-bit numbers. Two of random weights may be nearer
# to each other than that, so texts are not compared.
CLOSE = 0.05


@pytest.fixture
def session(benchgate_cache):
    with models.extended(DECODER):
        session = resolve(Cell(DECODER.name, "fp32", "ggml", "cpu")).load(1).session
        yield session
        session.close()


@pytest.fixture
def eager():
    return TorchText2TextSession(DECODER.build(), "cpu", {}, DECODER).stepper


@pytest.mark.parametrize("length", [1, 3, 40])
def test_each_step_gives_the_logits_of_torch_also_for_beams_in_another_order(session, eager, length):
    (source,) = np.array(sources(length))[None]
    ours, theirs = session._context(2).begin(source, None), eager.begin(source, np.ones_like(source))
    tokens = np.array([DECODER.start_token])
    for order in ([0, 0], [1, 0], [1, 1], [0, 1]):
        found, wanted = ours.step(tokens), theirs.step(tokens)
        assert np.ptp(wanted) > 3
        np.testing.assert_allclose(found, wanted, atol=CLOSE)
        ours.reorder(np.array(order))
        theirs.reorder(np.array(order))
        tokens = np.array([5, 9])


def test_of_a_prompt_nobody_asks_for_more_than_the_last_logits(session):
    """The output layer is a fifth of a small model's arithmetic; for every token of a prompt it would be timed."""
    context = session._context(1).begin(np.array(sources(9)), None)
    assert np.isfinite(context._logits(8)).all()
    with pytest.raises(InvalidOutput, match="no logits for row 3"):
        context._logits(3)
