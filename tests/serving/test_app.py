"""The endpoints with a fake model and without a socket: answers, refusals, limits, overload."""

from __future__ import annotations

import asyncio
import json

import pytest

from benchgate.serving.reformulate import MAX_CHARACTERS, MAX_TURNS
from benchgate.serving.settings import MAX_QUERIES
from tests.serving.asgi import JSON, running
from tests.serving.fakes import TOKEN

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/jsonx", "multipart/form-data", "application/json; charset=latin-1"]
)
async def test_another_content_type_is_refused(kind):
    async with running() as client:
        assert (await client.post({"query": "a"}, {"content-type": kind})).status == 415
        assert (await client.post({"query": "a"}, {"content-type": "Application/JSON; charset=utf-8"})).status == 200


async def test_a_compressed_body_is_refused_and_not_unpacked():
    json = {"content-type": "application/json"}
    async with running() as client:
        assert (await client.post({"query": "a"}, {**json, "content-encoding": "gzip"})).status == 415
        assert (await client.post({"query": "a"}, {**json, "content-encoding": "Identity"})).status == 200


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
