"""The application when its model fails, under load, and from its start to its end."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest

from benchgate.serving.batching import Ticket
from tests.serving.asgi import JSON, busy, running
from tests.serving.fakes import EchoSession, echo

pytestmark = pytest.mark.anyio

# --- the model's failures ---


async def test_one_bad_query_does_not_take_its_neighbours_with_it():
    session = EchoSession()
    async with running(session) as client:
        reply = await client.post({"queries": [{"query": q} for q in ("a", "poison", "b", "crash")]})
        single = await client.post({"query": "poison"})
        crashed = await client.post({"query": "crash"})
        after = await client.post({"query": "c"})
    assert [one.get("reformulation") for one in reply.json["answers"]] == ["A", None, "B", None]
    assert reply.json["answers"][1] == {"detail": "the model's output cannot be used (NaN or infinite)"}
    assert (single.status, crashed.status, after.status) == (502, 500, 200)
    assert b"secret" not in reply.body + crashed.body


async def test_requests_of_others_survive_a_bad_one_in_their_batch():
    async with busy() as (client, session, first):
        asked = [asyncio.create_task(client.post({"query": q})) for q in ("a", "poison", "b")]
        await client.until(lambda: client.app.state.batcher.waiting == 3)
        session.gate.set()
        replies = await asyncio.gather(first, *asked)
    assert [reply.status for reply in replies] == [200, 200, 502, 200]
    assert session.batches[:2] == [1, 3]


# --- load ---


async def test_none_of_a_thousand_concurrent_answers_is_lost_or_mixed_up():
    session = EchoSession()
    async with running(session, queue=1000) as client:
        replies = await asyncio.gather(
            *(client.post({"query": f"query {i}", "context": [f"c{i}"]}) for i in range(1000))
        )
    assert [reply.json["reformulation"] for reply in replies] == [f"C{i}\nQUERY {i}" for i in range(1000)]
    assert max(session.batches) == 16
    assert sum(session.batches) == 1000


async def test_an_empty_queue_waits_for_nobody_and_a_busy_one_fills_batches():
    async with busy() as (client, session, first):
        rest = [asyncio.create_task(client.post({"query": f"q{i}"})) for i in range(20)]
        await client.until(lambda: client.app.state.batcher.waiting == 20)
        session.gate.set()
        await asyncio.gather(first, *rest)
    assert session.batches == [1, 16, 4]


async def test_overload_is_shed_and_who_was_let_in_is_answered():
    async with busy(queue=8) as (client, session, first):
        asked = [asyncio.create_task(client.post({"query": f"q{i}"})) for i in range(100)]
        await client.until(lambda: sum(task.done() for task in asked) == 92)
        too_many = await client.post({"queries": [{"query": "a"}, {"query": "b"}]})
        session.gate.set()
        replies = await asyncio.gather(first, *asked)
    counts = {status: sum(reply.status == status for reply in replies) for status in (200, 429)}
    assert counts == {200: 9, 429: 92}
    refused = next(reply for reply in replies if reply.status == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.json["detail"] == "the queue has room for 0 of 1; try again"
    assert too_many.status == 429


async def test_overload_leaves_nothing_behind():
    session = EchoSession()
    session.gate.clear()
    async with running(session, queue=4, timeout_s=0.05) as client:
        for _ in range(3):
            replies = await asyncio.gather(*(client.post({"query": "x" * 1000}) for _ in range(100)))
            assert {reply.status for reply in replies} == {429, 503}
            assert client.app.state.batcher.waiting == 0
        gc.collect()
        tickets = [found for found in gc.get_objects() if isinstance(found, Ticket)]
        held = [ticket for ticket in tickets if ticket.question.query == "x" * 1000]
        # What the model is at, and that alone.
        assert len(held) <= 4


async def test_a_request_that_takes_too_long_is_given_up_and_dropped():
    session = EchoSession()
    session.gate.clear()
    async with running(session, timeout_s=0.05) as client:
        first = await client.post({"query": "first"})
        second = await client.post({"query": "second"})
        assert (first.status, second.status, second.headers["retry-after"]) == (503, 503, "1")
        assert client.app.state.batcher.waiting == 0
        await client.until(lambda: client.app.state.batcher.busy_s() > 0.1)
        hanging = await client.get("/readyz")
        assert hanging.status == 503
        assert "has been at one batch" in hanging.json["detail"]
        session.gate.set()
        await client.until(lambda: client.app.state.batcher.busy_s() == 0)
        assert (await client.get("/readyz")).status == 200
    assert session.batches == [1]


async def test_the_work_of_a_client_that_went_away_is_dropped():
    async with busy() as (client, session, first):
        gone = asyncio.Event()
        body = json.dumps({"queries": [{"query": "a"}, {"query": "b"}]}).encode()
        left = asyncio.create_task(client.ask("POST", "/v1/reformulate", [body], JSON, gone))
        await client.until(lambda: client.app.state.batcher.waiting == 2)
        gone.set()
        assert (await left).status == 499
        assert client.app.state.batcher.waiting == 0
        session.gate.set()
        assert (await first).status == 200
    assert session.batches == [1]


# --- the life of a server ---


async def test_while_the_model_is_loaded_requests_are_told_to_come_back():
    session = EchoSession()
    session.gate.clear()

    def load():
        assert session.gate.wait(10)
        return echo(session)

    async with running(session, load=load, ready=False) as client:
        asked, state, alive = (
            await client.post({"query": "a"}),
            await client.get("/readyz"),
            await client.get("/healthz"),
        )
        assert (asked.status, state.status, alive.status) == (503, 503, 200)
        assert asked.headers["retry-after"] == "5"
        assert asked.json["detail"] == "the model is being loaded"
        session.gate.set()
        await client.until(lambda: client.app.state.batcher.ready)
        assert (await client.post({"query": "a"})).status == 200
    assert session.closed


async def test_shutting_down_answers_what_is_queued_and_refuses_what_is_new():
    async with busy() as (client, session, first):
        asked = [asyncio.create_task(client.post({"query": f"q{i}"})) for i in range(2)]
        await client.until(lambda: client.app.state.batcher.waiting == 2)
        client.app.state.batcher.refuse()
        late = await client.post({"query": "late"})
        assert (late.status, late.json["detail"]) == (503, "the server is shutting down")
        session.gate.set()
        assert [reply.status for reply in await asyncio.gather(first, *asked)] == [200] * 3
        assert await client.app.state.batcher.close(5)


async def test_a_model_that_hangs_does_not_keep_the_server_from_ending():
    async with busy() as (client, _, first):
        second = asyncio.create_task(client.post({"query": "second"}))
        await client.until(lambda: client.app.state.batcher.waiting == 1)
        assert not await client.app.state.batcher.close(0.05)
        assert client.app.state.batcher.waiting == 0
        assert (await second).status == 503
        first.cancel()


async def test_metrics_count_what_happened_under_names_of_ours():
    async with running() as client:
        await client.post({"query": "a"})
        await client.post({"queries": [{"query": "a"}, {"query": "b"}]})
        await client.post({"query": ""})
        await client.get("/made/up/by/the/client")
        text = (await client.get("/metrics")).body.decode()
    assert 'benchgate_requests_total{path="/v1/reformulate",status="200"} 2.0' in text
    assert 'benchgate_requests_total{path="/v1/reformulate",status="422"} 1.0' in text
    assert 'benchgate_requests_total{path="other",status="404"} 1.0' in text
    assert "benchgate_batch_size_sum 3.0" in text
    assert "benchgate_ready 1.0" in text
    assert "made" not in text
