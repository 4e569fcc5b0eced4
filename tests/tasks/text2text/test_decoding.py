"""Greedy and beam search on table-driven models: known answers, brute force, batches, endings, bad logits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchgate.core import DataError, InvalidOutput
from benchgate.tasks.text2text.decoding import FixedLimits, generate, pad

START, END, PAD = 0, 1, 0


def limits(vocabulary=5):
    return FixedLimits(START, END, PAD, vocabulary, max_source=6, max_target=16)


class TableDecoding:
    """Rows are (source, tokens so far); logits come from a function of both. Counts the rows it was asked for."""

    def __init__(self, table, sources):
        self.table, self.rows, self.asked = table, [(source, ()) for source in sources], []

    def step(self, tokens):
        assert len(tokens) == len(self.rows)
        self.asked.append(len(tokens))
        self.rows = [(source, (*seen, int(t))) for (source, seen), t in zip(self.rows, tokens, strict=True)]
        return np.stack([self.table(source, seen[1:]) for source, seen in self.rows]).astype(np.float32)

    def reorder(self, rows):
        assert rows.dtype == np.int64
        self.rows = [self.rows[i] for i in rows]


class TableStepper:
    def __init__(self, table):
        self.table = table

    def begin(self, source, mask):
        self.decoding = TableDecoding(
            self.table, [tuple(s[m == 1].tolist()) for s, m in zip(source, mask, strict=True)]
        )
        return self.decoding


def random_table(seed, vocabulary):
    """Logits drawn anew for every source and prefix, the same each time they are asked for."""

    def table(source, seen):
        return np.random.default_rng([seed, *source, 99, *seen]).normal(0, 2, vocabulary)

    return table


def say(words, vocabulary=5):
    """A table that says `words` and then ends."""
    return lambda source, seen: np.eye(vocabulary)[words[len(seen)] if len(seen) < len(words) else END] * 9


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum())


def brute_force(table, source, vocabulary, longest):
    """The sequence with the highest log probability per token, among all of up to `longest` tokens."""
    best = (-np.inf, [])
    others = [t for t in range(vocabulary) if t != END]
    for length in range(1, longest + 1):
        endings = [END] if length < longest else range(vocabulary)
        for body in itertools.product(others, repeat=length - 1):
            for ending in endings:
                tokens = (*body, ending)
                total = sum(
                    log_softmax(table(source, tokens[:i]).astype(np.float32).astype(float))[t]
                    for i, t in enumerate(tokens)
                )
                best = max(best, (total / length, [t for t in tokens if t != END]))
    return best[1]


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_says_the_words_without_start_and_end(beams):
    assert generate(TableStepper(say([3, 2, 4])), limits(), [[2]], 10, beams) == [[3, 2, 4]]


@pytest.mark.parametrize("beams", [1, 3])
def test_stops_at_the_limit_without_an_end(beams):
    assert generate(TableStepper(say([3] * 99)), limits(), [[2]], 4, beams) == [[3, 3, 3, 3]]


@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_may_be_empty(beams):
    assert generate(TableStepper(say([])), limits(), [[2]], 4, beams) == [[]]
    assert generate(TableStepper(say([])), limits(), [], 4, beams) == []


def test_greedy_takes_the_lowest_id_of_equals():
    assert generate(TableStepper(lambda source, seen: np.array([-1, 0, 2, 2, 2.0])), limits(), [[2]], 2) == [[2, 2]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), vocabulary=st.integers(2, 4), longest=st.integers(1, 4))
def test_as_many_beams_as_sequences_find_the_best_of_all(seed, vocabulary, longest):
    table = random_table(seed, vocabulary)
    found = generate(TableStepper(table), limits(vocabulary), [[1]], longest, beams=vocabulary**longest)
    assert found == [brute_force(table, (1,), vocabulary, longest)]


def test_two_beams_find_what_greedy_misses():
    """Greedy takes 2 (0.55) and then has nothing good; 3 (0.45) is followed by certainty."""
    first, certain, unsure = [1e-9, 1e-9, 0.55, 0.45, 1e-9], [1e-9, 1.0, 1e-9, 1e-9, 1e-9], [0.2] * 5

    def table(source, seen):
        return np.log([first, certain if seen[:1] == (3,) else unsure][bool(seen)])

    assert generate(TableStepper(table), limits(), [[2]], 3, beams=1)[0][0] == 2
    assert generate(TableStepper(table), limits(), [[2]], 3, beams=2) == [[3]]


def test_scores_are_by_length_with_the_end_token():
    """[] has log 0.5 = -0.69 over 1 token; [2] has log 0.5*0.9 = -0.80 over 2: the longer one is better a token."""

    def table(source, seen):
        return np.log([1e-9, 0.5, 0.5, 1e-9, 1e-9] if not seen else [1e-9, 0.9, 0.1, 1e-9, 1e-9])

    assert generate(TableStepper(table), limits(), [[2]], 5, beams=2) == [[2]]


def test_a_source_is_done_with_as_many_hypotheses_as_beams():
    """Two beams, two endings at once: the search stops although a longer one would score better later."""

    def table(source, seen):
        return np.log([[0.0001, 0.3, 0.4999, 0.1, 0.1], [1e-9, 0.95, 0.05, 1e-9, 1e-9]][min(len(seen), 1)])

    stepper = TableStepper(table)
    generate(stepper, limits(), [[2]], 9, beams=2)
    assert stepper.decoding.asked == [1, 2]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), beams=st.integers(1, 4), count=st.integers(1, 5))
def test_a_batch_gives_what_each_gives_alone(seed, beams, count):
    table = random_table(seed, 5)
    sources = [[2 + i % 3] * (1 + i) for i in range(count)]
    together = generate(TableStepper(table), limits(), sources, 6, beams)
    assert together == [generate(TableStepper(table), limits(), [source], 6, beams)[0] for source in sources]


def test_rows_that_have_ended_are_not_computed_any_more():
    def table(source, seen):
        return np.eye(5)[END if len(seen) >= len(source) else 3] * 9

    stepper = TableStepper(table)
    assert generate(stepper, limits(), [[2], [2, 2, 2], [2, 2]], 9) == [[3], [3, 3, 3], [3, 3]]
    assert stepper.decoding.asked == [3, 3, 2, 1]


def test_padding_is_on_the_right_and_masked():
    source, mask = pad([[4], [2, 3, 4]], 7)
    assert source.tolist() == [[4, 7, 7], [2, 3, 4]]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert source.dtype == mask.dtype == np.int64


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_no_answer(bad, beams):
    def table(source, seen):
        logits = np.zeros(5)
        logits[4] = bad if len(seen) == 1 else 0.0
        return logits

    with pytest.raises(InvalidOutput, match=r"of 1?[05] logits are NaN or infinite"):
        generate(TableStepper(table), limits(), [[2]], 9, beams)


def test_logits_of_another_vocabulary_are_no_answer():
    with pytest.raises(InvalidOutput, match=r"shape \[1, 6\] for 1 rows of 5 tokens"):
        generate(TableStepper(say([2], 6)), limits(), [[2]], 9)


@pytest.mark.parametrize(
    ("sources", "limit", "beams", "message"),
    [
        ([[2], []], 4, 1, "source 1 has 0 tokens; allowed are 1 to 6"),
        ([[2] * 7], 4, 1, "source 0 has 7 tokens; allowed are 1 to 6"),
        ([[2, 5]], 4, 1, "token ids 2 to 5; allowed are 0 to 4"),
        ([[-1]], 4, 1, "token ids -1 to -1; allowed"),
        ([[2]], 0, 1, "max_new_tokens 0 must be 1 to 16"),
        ([[2]], 17, 1, "max_new_tokens 17 must be 1 to 16"),
        ([[2]], 4, 0, "beams 0 must be at least 1"),
    ],
)
def test_bad_input_is_refused(sources, limit, beams, message):
    with pytest.raises(DataError, match=message):
        generate(TableStepper(say([2])), limits(), sources, limit, beams)


def test_sources_and_targets_at_the_limit():
    assert generate(TableStepper(say([2])), limits(), [[4] * 6, [0]], 16) == [[2], [2]]
