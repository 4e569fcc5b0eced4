"""The endpoints with a fake model and without a socket: answers, refusals, limits, overload."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from benchgate.serving.batching import Ticket
from benchgate.serving.reformulate import MAX_CHARACTERS, MAX_TURNS
from benchgate.serving.settings import MAX_QUERIES
from tests.serving.asgi import JSON, Client, Reply, running
from tests.serving.fakes import EchoSession, echo

pytestmark = pytest.mark.anyio
TOKEN = "a-token-of-enough-length"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_one_query_with_its_context():
    async with running() as client:
        reply = await client.post({"context": ["dune"], "query": "who  wrote\nit"})
    assert reply.status == 200
    assert reply.json["reformulation"] == "DUNE\nWHO WROTE IT"
    assert reply.json["batch"] == 1
    assert reply.json["model_ms"] > 0


async def test_several_queries_come_back_in_order():
    async with running() as client:
        reply = await client.post({"queries": [{"query": f"q{i}"} for i in range(MAX_QUERIES)]})
    assert [one["reformulation"] for one in reply.json["answers"]] == [f"Q{i}" for i in range(MAX_QUERIES)]


@pytest.mark.parametrize(
    "text", ["😀 emoji 👩‍👩‍👧", "שלום עולם", "مرحبا \u202eabc", "日本語", "e\u0301", "x" * MAX_CHARACTERS]
)
async def test_any_text_passes(text):
    async with running() as client:
        reply = await client.post({"query": text})
    assert (reply.status, reply.json["reformulation"]) == (200, text.upper())


BOMB = b"[" * 60_000
BAD = [
    (b"", 422, "body: Field required"),
    (b"{", 400, "the body is not JSON"),
    (b"\xff\xfe{}", 400, "the body is not JSON"),
    (b'{"query": "\xff"}', 400, "parsing"),
    (BOMB, 400, "parsing"),
    (b'{"a":' * 10_000, 400, "parsing"),
    (b"1" * 5_000, 400, "parsing"),
    (b"null", 422, "body"),
    (b"[]", 422, "body: Input should be"),
    (b"{}", 422, "query: Field required"),
    (b'{"query": 1}', 422, "query: Input should be a valid string"),
    (b'{"query": NaN}', 422, "query: Input should be a valid string"),
    (b'{"query": null}', 422, "query: Input should be a valid string"),
    (b'{"query": "\\ud800"}', 422, "query"),
    (b'{"query": "a", "\\ud800": 1}', 422, ""),
    (b'{"query": "a", "more": 1}', 422, "unknown field: Extra inputs"),
    (b'{"query": "a", "queries": []}', 422, ""),
    (b'{"query": ""}', 422, "query: String should have at least 1"),
    (b'{"query": " \\n "}', 422, "query is empty"),
    (b'{"query": "a\\u0000b"}', 422, "U+0000 at 1"),
    (b'{"query": "a\\u001b[31m"}', 422, "U+001B at 1"),
    (json.dumps({"query": "x" * (MAX_CHARACTERS + 1)}).encode(), 422, "at most 2000"),
    (b'{"query": "a", "context": "b"}', 422, "context: Input should be a valid list"),
    (b'{"query": "a", "context": [1]}', 422, "context.0"),
    (b'{"query": "a", "context": [""]}', 422, "context.0"),
    (json.dumps({"query": "a", "context": ["b"] * (MAX_TURNS + 1)}).encode(), 422, "context: List should have at most"),
    (b'{"queries": []}', 422, "queries: List should have at least 1"),
    (b'{"queries": [{"query": "a"}, {}]}', 422, "queries.1.query: Field required"),
    (json.dumps({"queries": [{"query": "a"}] * (MAX_QUERIES + 1)}).encode(), 422, "queries: List should have at most"),
]


@pytest.mark.parametrize(("body", "status", "said"), BAD, ids=lambda v: repr(v[:30]) if isinstance(v, bytes) else None)
async def test_bad_input_is_refused_with_the_reason(body, status, said):
    async with running() as client:
        reply = await client.post(body)
        assert reply.status == status
        assert said in reply.json["detail"]
        assert len(reply.body) < 500
        assert (await client.post({"query": "still there"})).status == 200


async def test_a_shorter_queue_takes_fewer_queries_at_once():
    async with running(queue=4) as client:
        reply = await client.post({"queries": [{"query": "a"}] * 5})
    assert (reply.status, reply.json["detail"]) == (422, "5 queries; at most 4 are taken at once")


@pytest.mark.parametrize("kind", ["text/plain", "", "application/jsonx", "multipart/form-data"])
async def test_another_content_type_is_refused(kind):
    async with running() as client:
        assert (await client.post({"query": "a"}, {"content-type": kind})).status == 415
        assert (await client.post({"query": "a"}, {"content-type": "Application/JSON; charset=utf-8"})).status == 200


# --- the guard ---


@pytest.mark.parametrize(
    ("given", "status"),
    [(None, 401), ("", 401), (TOKEN, 401), (f"Bearer {TOKEN}x", 401), (f"Bearer {TOKEN[:-1]}", 401),
     ("Bearer \xe9", 401), (f"Bearer {TOKEN}", 200)],
)  # fmt: skip
async def test_the_token(given, status):
    async with running(token=TOKEN) as client:
        headers = {} if given is None else {"authorization": given}
        reply = await client.post({"query": "a"}, headers)
        assert reply.status == status
        assert (await client.ask("GET", "/metrics", headers=headers)).status == status
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert (await client.get(path)).status == 200
    assert ("www-authenticate" in reply.headers) == (status == 401)


async def test_without_the_token_the_body_is_not_read():
    async with running(token=TOKEN) as client:
        # A pause before the body that would be a time-out.
        reply = await asyncio.wait_for(client.ask("POST", "/v1/reformulate", [b"{}"], JSON, pause_s=30), 5)
    assert reply.status == 401


@contextlib.asynccontextmanager
async def busy(**limits: Any) -> AsyncIterator[tuple[Client, EchoSession, asyncio.Task[Reply]]]:
    """An application whose model is at a first query and stays there until `session.gate` is set."""
    session = EchoSession()
    session.gate.clear()
    async with running(session, **limits) as client:
        first = asyncio.create_task(client.post({"query": "first"}))
        await client.until(session.entered.is_set)
        yield client, session, first


def padded(size: int) -> bytes:
    return b'{"query": "a"}'.ljust(size)


@pytest.mark.parametrize(("size", "status"), [(200, 200), (201, 413), (100_000, 413), (2_000_000, 413)])
async def test_the_bodys_length_is_bounded_however_it_comes(size, status):
    body = padded(size)
    async with running(max_bytes=200) as client:
        declared = {**JSON, "content-length": str(size)}
        whole = await client.ask("POST", "/v1/reformulate", [body], declared)
        chunked = await client.ask("POST", "/v1/reformulate", [body[i : i + 64] for i in range(0, size, 64)], JSON)
    assert (whole.status, chunked.status) == (status, status)
    if status == 413:
        assert whole.json == {"detail": "the body may have at most 200 bytes"}
        assert whole.headers["connection"] == "close"


async def test_who_asks_before_sending_too_much_is_told_at_once():
    async with running(max_bytes=200) as client:
        headers = {**JSON, "content-length": "201", "expect": "100-continue"}
        reply = await asyncio.wait_for(client.ask("POST", "/v1/reformulate", [b""], headers, pause_s=30), 5)
    assert reply.status == 413


async def test_a_body_that_dribbles_in_is_cut():
    async with running(body_timeout_s=0.05) as client:
        reply = await client.ask("POST", "/v1/reformulate", [b" "] * 100, JSON, pause_s=0.01)
    assert (reply.status, reply.json["detail"]) == (408, "the body was not there within 0.05 s")


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
