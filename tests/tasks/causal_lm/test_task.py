"""Causal language models: honest scores, whatever the batch or the interruption."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchgate.core import DataError, InvalidOutput
from benchgate.core.protocols import NeedsData
from benchgate.core.shards import Shard
from benchgate.storage.resumable import take_up
from benchgate.tasks.causal_lm.passages import Passages, parse
from benchgate.tasks.causal_lm.task import CausalLMTask, Score, score_logits, score_passages, summarize
from tests.tasks.causal_lm.words import VOCABULARY, Session, Words

TEXTS = [" ".join(f"w{(i * 7 + j) % 31}" for j in range(2 + i * 5 % 17)) for i in range(23)]
DATA = parse("".join(json.dumps({"text": t}) + "\n" for t in TEXTS).encode(), "words", "where")


# One passage


def test_constant_logits_earn_nothing_but_the_first_token():
    for target in range(10):
        score = score_logits(np.zeros((1, 10), np.float32), [target], "here")
        assert score.rank == target + 1
        assert score.nll == pytest.approx(math.log(10))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 4)])
def test_logits_that_are_no_numbers_are_refused_with_their_count_and_place(bad, place):
    logits = np.zeros((2, 5), np.float32)
    logits[place] = bad
    with pytest.raises(InvalidOutput, match="here: 1 of 10 logits are NaN or infinite"):
        score_logits(logits, [0, 0], "here")


def test_all_nan_is_no_perfect_score():
    with pytest.raises(InvalidOutput):
        score_logits(np.full((1, 5), np.nan, np.float32), [0], "here")


few_levels = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(2, 9)), elements=st.integers(-2, 2).map(float)
)


@given(few_levels)
def test_rank_one_is_exactly_numpys_argmax_also_in_ties(logits):
    for row in logits:
        ranks = [score_logits(row[None], [t], "here").rank for t in range(len(row))]
        assert ranks.index(1) == row.argmax()
        assert sorted(ranks) == list(range(1, len(row) + 1))


@given(few_levels, st.data())
def test_several_targets_have_their_summed_loss_and_their_worst_rank(logits, data):
    targets = [data.draw(st.integers(0, logits.shape[1] - 1)) for _ in logits]
    alone = [score_logits(row[None], [t], "here") for row, t in zip(logits, targets, strict=True)]
    together = score_logits(logits, targets, "here")
    assert together.rank == max(s.rank for s in alone)
    assert together.nll == pytest.approx(sum(s.nll for s in alone))


def test_the_loss_is_the_log_of_the_softmax_also_for_huge_logits():
    logits = np.array([[1000.0, 1001.0, 0.0]], np.float32)
    assert score_logits(logits, [0], "here").nll == pytest.approx(math.log(1 + math.e))
    logits = np.log(np.array([[0.5, 0.25, 0.25]], np.float32))
    assert score_logits(logits, [1], "here") == Score(pytest.approx(math.log(4), rel=1e-6), 2)


# All passages


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 23, 100])
def test_the_batch_changes_no_digit_and_no_order(batch):
    alone = score_passages(Session(), Words(), replace(DATA, batch=1))
    assert score_passages(Session(), Words(), replace(DATA, batch=batch)) == alone


def test_scores_come_in_the_order_of_the_data():
    scores = score_passages(Session(), Words(), DATA)
    assert list(scores) == list(range(len(DATA.items)))
    for i, item in enumerate(DATA.items):
        (single,) = score_passages(Session(), Words(), replace(DATA, items=(item,), sha256=str(i))).values()
        assert scores[i] == single


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("of", [1, 2, 5, 40])
def test_shards_answer_to_the_digit_what_is_scored_whole(batch, of):
    task, data = CausalLMTask(), replace(DATA, batch=batch)
    shards = [json.loads(json.dumps(task.answers(Session(), Words(), data, Shard(i, of)))) for i in range(of)]
    answers = {name: answer for shard in reversed(shards) for name, answer in shard.items()}
    assert sum(map(len, shards)) == len(answers) == len(data.items)
    assert task.summed(Session(), Words(), data, answers) == task.score(Session(), Words(), data)


def test_a_shard_takes_whole_batches():
    """Padding beside a passage is in the last digits of real kernels."""

    class Watching(Session):
        def logits(self, sequences, keep):
            batches.append(tuple(map(tuple, sequences)))
            return super().logits(sequences, keep)

    batches = []
    score_passages(Watching(), Words(), replace(DATA, batch=4))
    whole, batches = sorted(batches), []
    for number in range(3):
        score_passages(Watching(), Words(), replace(DATA, batch=4), Shard(number, 3))
    assert sorted(batches) == whole


@pytest.mark.usefixtures("resuming")
def test_a_shard_that_ends_leaves_what_another_one_has_scored():
    data = replace(DATA, batch=1)
    whole = score_passages(Session(), Words(), data, Shard(0, 2))
    with pytest.raises(RuntimeError, match="out of luck"):
        score_passages(Session(fail_at=6), Words(), data, Shard(0, 2))
    score_passages(Session(), Words(), data, Shard(1, 2))
    rest = Session()
    assert score_passages(rest, Words(), data, Shard(0, 2)) == whole
    assert len(rest.sizes) == len(whole) - 5


def test_the_longest_passages_are_scored_first():
    lengths = []

    class Watching(Session):
        def logits(self, sequences, keep):
            lengths.append([len(s) for s in sequences])
            return super().logits(sequences, keep)

    score_passages(Watching(), Words(), replace(DATA, batch=4))
    assert [n for chunk in lengths for n in chunk] == sorted((len(t.split()) - 1 for t in TEXTS), reverse=True)


def test_the_tokenizer_is_asked_for_once():
    """A model of files looks up all that decides its folder whenever it is asked: 70 ms, as long as a passage."""
    asked = []

    class Asked(Words):
        def tokenizer(self):
            asked.append(self)
            return super().tokenizer()

    score_passages(Session(), Asked(), DATA)
    assert len(asked) == 1


@pytest.fixture
def resuming():
    take_up(True)
    yield
    take_up(False)


@pytest.mark.usefixtures("resuming")
@pytest.mark.parametrize("fail_at", [1, 3, 6])
def test_after_a_crash_only_what_is_missing_is_scored(fail_at, benchgate_cache):
    data = replace(DATA, batch=4)
    whole = Session()
    expected = score_passages(whole, Words(), data)
    with pytest.raises(RuntimeError, match="out of luck"):
        score_passages(Session(fail_at), Words(), data)
    resumed = Session()
    assert score_passages(resumed, Words(), data) == expected
    assert len(resumed.sizes) == len(whole.sizes) - (fail_at - 1)
    assert not list((benchgate_cache / "partial").iterdir())


@pytest.mark.usefixtures("resuming")
@pytest.mark.parametrize(
    ("identity", "data"),
    [("words-int8", DATA), ("words-fp32", replace(DATA, sha256="other")), ("words-fp32", DATA.sample(20))],
)
def test_partial_scores_of_another_model_or_other_data_are_never_taken(identity, data):
    with pytest.raises(RuntimeError):
        score_passages(Session(fail_at=3), Words(), DATA)
    other = Session()
    other.identity = identity
    score_passages(other, Words(), data)
    assert sum(other.sizes) == len(data.items)


def test_logits_that_are_no_numbers_name_the_data_and_the_passage():
    class Broken(Session):
        def _rows(self, tokens):
            return super()._rows(tokens) * (np.nan if len(tokens) == len(TEXTS[6].split()) - 1 else 1)

    with pytest.raises(InvalidOutput, match=r"^words, passage 7: 50 of 50 logits"):
        score_passages(Broken(), Words(), replace(DATA, items=DATA.items[:7], batch=1))


@pytest.mark.parametrize("level", [0.0, 3.5, -1e30])
def test_a_model_that_answers_everything_alike_gets_no_points(level):
    class Constant(Session):
        def _rows(self, tokens):
            return np.full((len(tokens), VOCABULARY), level, np.float32)

    targets = [Words().tokenizer()(continuation, False)["input_ids"] for _, continuation in DATA.items]
    assert min(max(ids) for ids in targets) > 0
    found = CausalLMTask().score(Constant(), Words(), replace(DATA, top_k=(1, min(map(max, targets)))))
    assert [m.value for name, m in found.items() if name.startswith("top")] == [0.0, 0.0]
    assert not any(found["top1"].examples)
    assert found["perplexity"].value == pytest.approx(VOCABULARY)


def test_a_model_of_nan_gets_no_score_at_all():
    class Broken(Session):
        def _rows(self, tokens):
            return np.full((len(tokens), VOCABULARY), np.nan, np.float32)

    with pytest.raises(InvalidOutput, match="50 of 50 logits are NaN or infinite"):
        CausalLMTask().score(Broken(), Words(), DATA)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_nothing_is_refused(batch):
    with pytest.raises(DataError, match=f"batch {batch} must be at least 1"):
        score_passages(Session(), Words(), replace(DATA, batch=batch))


# The figures


def test_the_figures_against_a_computation_by_hand():
    scores = [Score(math.log(2), 1), Score(math.log(8), 3), Score(math.log(4), 1), Score(math.log(4), 11)]
    found = summarize(scores, replace(DATA, top_k=(1, 3, 10)))
    assert {name: found[name].value for name in ("top1", "top3", "top10")} == {"top1": 0.5, "top3": 0.75, "top10": 0.75}
    # (1 + 3 + 2 + 2) / 4 = 2 bits a passage
    assert found["perplexity"].value == pytest.approx(4)
    # the logs' deviation is 0.8165 bit, t(97.5 %, 3) = 3.1824: 2 bits +- 1.2992
    assert found["perplexity"].low == pytest.approx(2**0.7008, rel=1e-3)
    assert found["perplexity"].high == pytest.approx(2**3.2992, rel=1e-3)
    assert all(m.n == 4 and "words (4 of 23 passages)" in m.method for m in found.values())
    assert found["top1"].low < 0.5 < found["top1"].high
    assert (found["top1"].examples, found["top3"].examples) == ((1, 0, 1, 0), (1, 1, 1, 0))
    assert found["perplexity"].examples == tuple(score.nll for score in scores)


def test_the_perplexity_of_a_broken_model_is_huge_but_a_number():
    found = summarize([Score(5000.0, 9), Score(4000.0, 9)], DATA)["perplexity"]
    assert math.isfinite(found.value)
    assert math.isfinite(found.high)
    assert found.value > 1e300


@given(st.lists(st.builds(Score, st.floats(0, 50), st.integers(1, 20)), min_size=1, max_size=20))
def test_top_k_never_falls_with_k(scores):
    found = summarize(scores, DATA)
    assert found["top1"].value <= found["top5"].value <= found["top10"].value


def test_without_data_it_says_what_to_give():
    task = CausalLMTask()
    assert isinstance(task, NeedsData)
    assert set(task.without_data) == {"top1", "perplexity"}
    assert all(
        reason.startswith("no passages: ") and "--cell-passages=FILE" in reason for reason in task.without_data.values()
    )


def test_the_task_scores_what_it_is_given():
    found = CausalLMTask().score(Session(), Words(), DATA)
    assert set(found) == {"top1", "top5", "top10", "perplexity"}
    assert isinstance(DATA, Passages)
