"""The text2text task against a fake session: what is asked, in which order, what is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from benchgate.core import DataError, InvalidOutput, default_inputs, operations, tasks
from benchgate.core.protocols import NeedsData
from benchgate.core.shards import Shard
from benchgate.tasks.text2text.rewrites import Rewrite
from benchgate.tasks.text2text.task import Text2TextTask, ask, generate, in_turn, reformulate
from tests.tasks.text2text.fakes import FIRST, FakeModel, FakeSession, a_set

DEV = a_set(*(Rewrite(("x" * (i % 4),), f"query {i}", f"answer {i}", "clean") for i in range(9)), name="dev")


def call_often(work, n):
    call = work.started()
    return [call() for _ in range(n)]


def test_reformulate_walks_through_the_queries_and_starts_again():
    session = FakeSession(FakeModel())
    work = reformulate(session, session.model, DEV, batch=4)
    assert call_often(work, 3) == [
        ["query 0", "query 1", "query 2", "query 3"],
        ["query 4", "query 5", "query 6", "query 7"],
        ["query 8", "query 0", "query 1", "query 2"],
    ]
    assert (work.units, session.asked) == (4, [(4, 200, 1)] * 3)


def test_generate_knows_only_tokens():
    session = FakeSession(FakeModel(), [])
    work = generate(session, session.model, DEV, beams=3)
    assert call_often(work, 2) == [[[FIRST + ord(c) for c in f"query {i}"]] for i in (0, 1)]
    assert session.asked == [(1, 200, 3)] * 2


@pytest.mark.parametrize("operation", [reformulate, generate])
@pytest.mark.parametrize(("length", "chosen"), [("short", {0, 4, 8}), ("medium", {1, 2, 5}), ("long", {3, 6, 7})])
def test_a_length_is_a_third_of_the_queries_by_source_tokens(operation, length, chosen):
    session = FakeSession(FakeModel())
    work = operation(session, session.model, DEV, length=length)
    answers = [answer for (answer,) in call_often(work, 3)]
    said = [answer if isinstance(answer, str) else session.model.decode(answer) for answer in answers]
    assert {int(text.removeprefix("query ")) for text in said} == chosen


def test_an_unknown_length_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match="unknown length 'longest'; did you mean 'long'"):
        reformulate(FakeSession(FakeModel()), FakeModel(), DEV, length="longest")


@pytest.mark.parametrize("batch", [0, -1, 10])
def test_a_batch_that_is_no_size_is_refused(batch):
    with pytest.raises(DataError, match=f"batch {batch}: must be at least 1 and at most the 9 queries"):
        reformulate(FakeSession(FakeModel()), FakeModel(), DEV, batch=batch)


@pytest.mark.parametrize("operation", [reformulate, generate])
def test_a_model_that_says_nothing_is_not_timed(operation):
    session = FakeSession(FakeModel(answer=lambda context, query: ""))
    work = operation(session, session.model, DEV, batch=2)
    with pytest.raises(InvalidOutput, match="fake-rewriter answered nothing to any of 2 queries"):
        work.check(work.started()())


def test_a_session_that_loses_an_answer_is_a_defect():
    session = FakeSession(FakeModel())
    session.generate = lambda sources, max_new_tokens, beams: [[5]] * (len(sources) - 1)
    with pytest.raises(InvalidOutput, match="1 answers to 2 queries"):
        reformulate(session, session.model, DEV, batch=2).started()()


@pytest.mark.parametrize("of", [1, 2, 4, 9])
def test_shards_answer_to_the_digit_what_is_scored_whole(of):
    task, session = Text2TextTask(), FakeSession(FakeModel())
    shards = [task.answers(session, session.model, DEV, Shard(number, of)) for number in range(of)]
    answers = {name: answer for shard in reversed(shards) for name, answer in shard.items()}
    assert sum(map(len, shards)) == len(answers) == len(DEV)
    assert task.summed(session, session.model, DEV, answers) == task.score(session, session.model, DEV)


def test_scoring_asks_each_query_alone_with_its_context_and_sets_copying_beside():
    model = FakeModel(answer=lambda context, query: " ".join([*context, query]))
    data = a_set(
        Rewrite(("paris",), "weather", "paris weather"),
        Rewrite((), "rome weather", "rome weather"),
        Rewrite(("a",), "b", "wrong"),
    )
    session = FakeSession(model)
    found = Text2TextTask().score(session, model, data)
    assert session.asked == [(1, 200, 1)] * 3
    assert found["exact_match"].examples == (1, 1, 0)
    assert found["exact_match_copy"].value == pytest.approx(1 / 3)


def test_without_data_it_says_what_to_give():
    task = Text2TextTask()
    assert isinstance(task, NeedsData)
    (reason,) = task.without_data.values()
    assert reason.startswith("no rewrites: ")
    assert "--cell-rewrites=FILE" in reason


def test_answers_have_the_time_from_text_to_text(monkeypatch):
    ticks = iter(range(0, 100, 7))
    monkeypatch.setattr("benchgate.tasks.text2text.task.time.perf_counter", lambda: next(ticks))
    answers = ask(FakeSession(FakeModel()), FakeModel(), a_set(*DEV.items[:2]))
    assert [(a.text, a.seconds) for a in answers] == [("query 0", 7), ("query 1", 7)]


def test_the_task_is_registered_and_samples_token_ids():
    task = tasks["text2text"]
    assert list(operations(task))[:2] == ["reformulate", "generate"]
    assert [FakeModel().decode(source) for source in task.sample(FakeModel(), 2)] == [
        "who wrote hamlet\nwhen was it written"
    ] * 2


def test_without_queries_there_is_nothing_to_time_and_the_message_says_what_to_give():
    with pytest.raises(DataError, match=r"fake-rewriter: no queries to time it on; give some: cell\.measure\(inputs="):
        default_inputs(Text2TextTask(), FakeModel(), {})


@pytest.mark.parametrize(("batch", "calls"), [(1, 9), (2, 9), (3, 3), (6, 3), (9, 1)])
def test_a_pass_has_every_query_equally_often(batch, calls):
    turns = in_turn(DEV.items, batch)
    assert len(turns) == calls
    assert set(Counter(query for turn in turns for query in turn).values()) == {calls * batch // 9}
