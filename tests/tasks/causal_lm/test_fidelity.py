"""Fidelity figures against closed forms, and against numpy on everything at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchgate.core import DataError, InvalidOutput
from benchgate.tasks.causal_lm import fidelity
from benchgate.tasks.causal_lm.fidelity import Fidelity
from benchgate.tasks.causal_lm.passages import Passages


def log_of(*probabilities):
    return np.log(np.array([probabilities], dtype=np.float32))


def test_two_known_distributions():
    """KL((1/2, 1/4, 1/4) || (1/4, 1/4, 1/2)) = 1/2 ln 2 - 1/4 ln 2 = ln(2)/4; the next token is the first."""
    found = Fidelity()
    found.add(log_of(0.5, 0.25, 0.25) + 7, log_of(0.25, 0.25, 0.5) - 3, [0], "here")
    metrics = found.metrics("two")
    assert metrics["kl_mean"].value == pytest.approx(math.log(2) / 4, rel=1e-6)
    assert metrics["kl_p99"].value == pytest.approx(math.log(2) / 4, rel=0.011)
    assert metrics["agreement_top1"].value == 0
    assert metrics["log_perplexity_delta"].value == pytest.approx(math.log(2), rel=1e-6)
    assert (metrics["kl_mean"].low, metrics["kl_mean"].unit) == (None, "nat")


def test_a_model_is_faithful_to_itself():
    logits = np.random.default_rng(0).normal(size=(300, 50)).astype(np.float32) * 20
    found = Fidelity()
    for part in np.split(logits, 3):
        found.add(part, part, [1] * 100, "here")
    metrics = found.metrics("itself")
    assert metrics["kl_mean"].value == metrics["log_perplexity_delta"].value == 0
    assert (metrics["agreement_top1"].value, metrics["agreement_top1"].low) == (1, 1)
    assert metrics["kl_p99"].value <= 1e-10


def test_streaming_gives_what_all_at_once_gives():
    generator = np.random.default_rng(1)
    lengths = [3, 700, 41, 256, 257]
    pairs = [
        (generator.normal(size=(n, 30)), generator.normal(size=(n, 30)), generator.integers(0, 30, n)) for n in lengths
    ]
    found = Fidelity()
    for p, q, ids in pairs:
        found.add(p.astype(np.float32), q.astype(np.float32), ids.tolist(), "here")
    p, q, ids = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    p, q = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (p, q))
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    rows = np.arange(len(ids))
    metrics = found.metrics("all")
    assert metrics["kl_mean"].value == pytest.approx(kl.mean(), rel=1e-5)
    assert metrics["kl_p99"].value == pytest.approx(np.quantile(kl, 0.99, method="higher"), rel=0.011)
    assert metrics["agreement_top1"].value == pytest.approx((p.argmax(1) == q.argmax(1)).mean())
    assert metrics["log_perplexity_delta"].value == pytest.approx((p[rows, ids] - q[rows, ids]).mean(), rel=1e-4)


def test_intervals_take_passages_as_the_observations():
    """100 passages in which all tokens are alike: as uncertain as 100 tokens, not as 5,000."""
    generator = np.random.default_rng(2)
    found, single = Fidelity(), Fidelity()
    for _ in range(100):
        p, q = generator.normal(size=(1, 20)), generator.normal(size=(1, 20))
        found.add(np.repeat(p, 50, axis=0), np.repeat(q, 50, axis=0), [0] * 50, "here")
        single.add(p, q, [0], "here")
    for name in ("kl_mean", "log_perplexity_delta", "agreement_top1"):
        many, one = found.metrics("")[name], single.metrics("")[name]
        assert (many.low, many.high, many.n) == (pytest.approx(one.low), pytest.approx(one.high), 100)


def test_the_interval_covers():
    """Of 300 draws of 40 passages, about 95 % of the intervals hold the true mean."""
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        found = Fidelity()
        for _ in range(40):
            found.add(log_of(0.5, 0.5), log_of(*((0.4, 0.6) if generator.random() < 0.5 else (0.5, 0.5))), [0], "here")
        metric = found.metrics("")["log_perplexity_delta"]
        held += metric.low <= 0.5 * math.log(0.5 / 0.4) <= metric.high
    assert 0.92 <= held / 300 <= 0.98


def test_memory_does_not_grow_with_the_text():
    found = Fidelity()
    logits = np.zeros((10, 5), dtype=np.float32)

    def held():
        return sum(x.nbytes for x in vars(found).values() if isinstance(x, np.ndarray))

    found.add(logits, logits, [0] * 10, "here")
    before = held()
    for _ in range(200):
        found.add(logits, logits, [0] * 10, "here")
    assert held() == before
    assert not any(isinstance(x, list | dict | set) for x in vars(found).values())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_broken_logits_are_no_figure(value):
    good = np.zeros((2, 3), dtype=np.float32)
    bad = good.copy()
    bad[1, 2] = value
    with pytest.raises(InvalidOutput, match="here: 1 of 6 logits are NaN or infinite"):
        Fidelity().add(good, bad, [0, 0], "here")


def test_models_of_different_vocabularies_are_not_compared():
    with pytest.raises(DataError, match="one vocabulary"):
        Fidelity().add(np.zeros((2, 3)), np.zeros((2, 4)), [0, 0], "here")
    with pytest.raises(DataError, match="no tokens to compare"):
        Fidelity().metrics("nothing")


class Session:
    """Logits that know the position and the token, scaled."""

    context_limit, vocabulary = 32, 300

    def __init__(self, scale):
        self.scale = scale

    def logits(self, sequences, keep):
        (sequence,), (count,) = sequences, keep
        table = np.cos(np.outer(np.array(sequence) + 1, np.arange(self.vocabulary))) * self.scale
        return [table[-count:].astype(np.float32)]


class Model:
    def tokenizer(self):
        return lambda text, add_special_tokens: {"input_ids": list(text.encode())}


def test_two_sessions_on_all_tokens_of_the_passages():
    metrics = fidelity.compare(Session(1.0), Session(1.5), Model(), DATA)
    assert metrics["kl_mean"].value > 0
    assert metrics["agreement_top1"].value == 1
    assert "30 tokens of 2 passages" in metrics["kl_mean"].method


DATA = Passages("two", "00", (("the ship went down to the", "sea"), ("a", "b")), total=2)


def test_the_tokenizer_is_asked_for_once():
    asked = []

    class Asked(Model):
        def tokenizer(self):
            asked.append(self)
            return super().tokenizer()

    fidelity.compare(Session(1.0), Session(1.5), Asked(), DATA)
    assert len(asked) == 1


def test_a_model_that_answers_everything_alike_agrees_with_nothing():
    class Seventh(Session):
        """Its greedy token is always the seventh."""

        def logits(self, sequences, keep):
            return [np.roll(super().logits(sequences, keep)[0], 7, axis=1)]

    class Constant(Session):
        def logits(self, sequences, keep):
            return [np.zeros((keep[0], self.vocabulary), np.float32)]

    metrics = fidelity.compare(Seventh(4.0), Constant(1.0), Model(), DATA)
    assert metrics["agreement_top1"].value == 0
    # Against the uniform distribution the divergence is log(vocabulary) less the entropy.
    assert 1 < metrics["kl_mean"].value < math.log(300)


@pytest.mark.parametrize("broken_reference", [False, True])
def test_a_model_of_nan_has_no_fidelity_and_no_reference_value(broken_reference):
    sessions = [Session(1.0), Session(float("nan"))]
    with pytest.raises(InvalidOutput, match=r"two, passage 1: .* logits are NaN or infinite"):
        fidelity.compare(*(reversed(sessions) if broken_reference else sessions), Model(), DATA)
