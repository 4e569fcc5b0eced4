"""What is timed of a causal language model, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from benchgate.core import DataError, InvalidOutput
from benchgate.tasks.causal_lm import task as causal_lm
from benchgate.tasks.causal_lm.task import PROMPT
from tests.tasks.causal_lm.words import VOCABULARY, Session, Words


@pytest.mark.parametrize(("batch", "length"), [(1, 5), (3, 200)])
def test_a_prompt_is_the_text_over_and_over_in_equal_rows(batch, length):
    tokens = causal_lm.prompt_tokens(Words(), batch, length)
    once = Words().tokenizer()(PROMPT, False)["input_ids"]
    assert (tokens.shape, tokens.dtype) == ((batch, length), np.int64)
    assert tokens[-1].tolist() == [once[i % len(once)] for i in range(length)]


def test_prefill_counts_the_tokens_it_reads():
    session = Session()
    work = causal_lm.prefill(session, Words(), causal_lm.PROMPT, batch=2, context=10)
    assert session.log == []
    work.check(work.call())
    assert (work.units, work.throughput, session.log) == (20, "prefill_tokens_per_s", [("prefill", (2, 10))])


def test_decode_rewinds_outside_of_what_is_timed():
    session = Session()
    work = causal_lm.decode(session, Words(), causal_lm.PROMPT, batch=2, context=10)
    assert session.log == []
    work.begin()
    assert session.log == [("prefill", (2, 10))]
    for _ in range(3):
        work.prepare()
        assert session.log.pop() == ("rewind", 10)
        work.check(work.call())
        assert session.log.pop() == ("step", (2,))
    assert (work.units, work.throughput) == (2, "decode_tokens_per_s")


def test_every_call_of_generate_has_a_lap_of_each_kind():
    session = Session()
    work = causal_lm.generate(session, Words(), causal_lm.PROMPT, batch=2, context=10, new_tokens=5)
    for _ in range(3):
        output = work.call()
        assert tuple(output.laps) == work.laps == ("ttft_s", "tpot_s")
    assert session.log[:5] == [("prefill", (2, 10)), *[("step", (2,))] * 4]
    assert work.units == 10
    work.check(output.output)


def test_laps_are_the_time_to_the_first_token_and_the_mean_of_the_others(monkeypatch):
    ticks = iter([10.0, 10.5, 12.5])
    monkeypatch.setattr(causal_lm.time, "perf_counter", lambda: next(ticks))
    work = causal_lm.generate(Session(), Words(), causal_lm.PROMPT, context=10, new_tokens=5)
    assert work.call().laps == {"ttft_s": 0.5, "tpot_s": 0.5}


@pytest.mark.parametrize(
    ("operation", "params", "said"),
    [
        (causal_lm.prefill, {"context": 65}, "context 65 does not fit into words's 64"),
        (causal_lm.decode, {"context": 64}, r"context 64 \+ 1 new tokens does not fit into words's 64"),
        (causal_lm.generate, {"context": 60, "new_tokens": 5}, r"context 60 \+ 5 new tokens does not fit"),
        (causal_lm.generate, {"context": 10, "new_tokens": 1}, "new_tokens is 1"),
        (causal_lm.prefill, {"batch": 0, "context": 10}, "batch 0 and context 10 must be at least 1"),
        (causal_lm.prefill, {"context": 0}, "context 0 must be at least 1"),
    ],
)
def test_what_cannot_be_timed_is_refused_before_it_runs(operation, params, said):
    session = Session()
    with pytest.raises(DataError, match=said):
        operation(session, Words(), causal_lm.PROMPT, **params)
    assert session.log == []


@pytest.mark.parametrize("tokens", [[-1], [VOCABULARY], [0, VOCABULARY + 3]])
@pytest.mark.parametrize("operation", [causal_lm.prefill, causal_lm.decode, causal_lm.generate])
def test_tokens_outside_of_the_vocabulary_are_no_answer(operation, tokens):
    work = operation(Session(), Words(), causal_lm.PROMPT, context=10)
    with pytest.raises(InvalidOutput, match="not all in the vocabulary of 50"):
        work.check(np.array(tokens))
