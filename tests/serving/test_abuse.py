"""Clients that mean harm: one cheap query that spoils a batch, answers never read, idle crowds, foreign names."""

from __future__ import annotations

import json
import logging
import resource
import socket
from dataclasses import dataclass

import pytest

from benchgate.serving import server as serving
from benchgate.serving.batching import Batcher
from benchgate.serving.log import MOST, PERIOD_S, RateLimit
from benchgate.serving.reformulate import BadInput, Question, Reformulator
from benchgate.serving.settings import Settings
from tests.serving.asgi import JSON, running
from tests.serving.fakes import EchoModel, EchoSession
from tests.serving.live import live, post, read_all, wait_for

TOKEN = "a-token-of-enough-length"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# --- one bad query among good ones ---


@pytest.mark.anyio
async def test_a_query_of_too_many_tokens_is_dropped_alone_and_nothing_runs_twice():
    session = EchoSession()
    model = EchoModel(max_source=20)
    batcher = Batcher(lambda: Reformulator(model, session), 16, 64)  # type: ignore[arg-type]
    session.gate.clear()
    batcher.start()
    await until(lambda: batcher.ready)
    first = batcher.submit([Question((), "first")])
    await until(session.entered.is_set)
    good = batcher.submit([Question((), f"good {i}") for i in range(4)])
    bad = batcher.submit([Question((), "x" * 50)])
    late = batcher.submit([Question((), "good 4")])
    session.gate.set()
    assert [(await ticket.future).text for ticket in [*first, *good, *late]] == [
        "FIRST", *(f"GOOD {i}" for i in range(5))
    ]  # fmt: skip
    with pytest.raises(BadInput, match="too many tokens"):
        await bad[0].future
    assert session.batches == [1, 5]
    await batcher.close(5)


@pytest.mark.anyio
async def test_a_batch_of_bad_queries_alone_does_not_end_the_thread():
    session = EchoSession()
    batcher = Batcher(lambda: Reformulator(EchoModel(max_source=20), session), 16, 64)  # type: ignore[arg-type]
    batcher.start()
    await until(lambda: batcher.ready)
    for ticket in batcher.submit([Question((), "x" * 50)] * 3):
        with pytest.raises(BadInput):
            await ticket.future
    assert (await batcher.submit([Question((), "a")])[0].future).text == "A"
    assert session.batches == [1]
    await batcher.close(5)


async def until(condition):
    import asyncio

    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within 5 s")


# --- answers that nobody reads ---


def test_a_client_that_does_not_read_is_cut():
    with live(write_timeout_s=0.5, keep_alive_s=60.0) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.settimeout(0.2)
        with pytest.raises((TimeoutError, ConnectionError)):
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200_000)
        wait_for(lambda: not server.server.server_state.connections)


@pytest.mark.parametrize(("number", "answered"), [(9, 9), (30, 9)])
def test_requests_sent_at_once_are_answered_up_to_a_limit(number, answered):
    with live() as server, server.connection() as client:
        client.sendall(post(b'{"query": "a"}') * (number - 1) + post(b'{"query": "a"}', "connection: close"))
        assert read_all(client).count(b" 200 ") == answered


@dataclass
class Transport:
    """`unread` bytes lie in its buffer."""

    unread: int = 0
    aborted: bool = False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.aborted = True


def test_only_what_lies_unread_all_the_time_is_cut(monkeypatch):
    connection = object.__new__(type("Limited", (serving.Protocol,), {"settings": Settings(write_timeout_s=5.0)}))
    connection.transport, connection._unread_since = Transport(), None
    for now, unread in ((0.0, 9), (4.0, 9), (5.0, 0), (6.0, 9), (11.0, 9)):
        connection.transport.unread = unread
        connection.cut_if_unread(now)
        assert not connection.transport.aborted
    connection.cut_if_unread(11.1)
    assert connection.transport.aborted


# --- crowds ---


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "raised_to"),
    [(256, 8192, 1024, 1424), (1024, 1024, 624, 1024), (512, 512, 112, 512), (200, 200, 1, 200),
     (8192, 8192, 1024, None),
     (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1024, None), (256, resource.RLIM_INFINITY, 1024, 1424)],
)  # fmt: skip
def test_connections_follow_the_number_of_files_that_the_process_may_open(
    monkeypatch, capsys, soft, hard, connections, raised_to
):
    raised = []
    monkeypatch.setattr(serving.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(serving.resource, "setrlimit", lambda _, limits: raised.append(limits))
    assert serving.within_file_limit(Settings()).max_connections == connections
    assert raised == ([] if raised_to is None else [(raised_to, hard)])
    assert ("--max-connections" in capsys.readouterr().err) == (connections < 1024)


def test_log_lines_are_limited_and_the_rest_counted():
    now = [0.0]
    limit = RateLimit(lambda: now[0])

    def passes(level=logging.ERROR):
        record = logging.LogRecord("x", level, "", 0, "said %s", ("so",), None)
        return record.getMessage() if limit.filter(record) and record.getMessage() else None

    assert [passes() for _ in range(1000)].count("said so") == MOST
    assert passes(logging.WARNING) == "said so"
    now[0] = PERIOD_S
    assert passes() == f"said so ({1000 - MOST:,} lines before it left out)"
    assert passes() == "said so"


# --- what is asked, and by which name ---


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "limits", "status"),
    [("localhost", {}, 200), ("LOCALHOST:8000", {}, 200), ("127.0.0.1:1", {}, 200), ("[::1]:8000", {}, 200),
     ("[::1]", {}, 200), ("127.1.2.3", {}, 200), ("evil.example", {}, 421), ("", {}, 421),
     ("localhost.evil.example", {}, 421), ("localhost:evil.example", {}, 421), ("localhost:99999", {}, 421),
     ("user@localhost", {}, 421), ("localhost/evil.example", {}, 421), ("[::1", {}, 421),
     ("127.0.0.1.evil.example:8000", {}, 421), ("api.example", {"hosts": ("api.example",)}, 200),
     ("api.example:443", {"token": TOKEN}, 200), ("evil.example", {"token": TOKEN, "hosts": ("api.example",)}, 421)],
)  # fmt: skip
async def test_the_server_is_asked_by_its_own_names_only(host, limits, status):
    async with running(**limits) as client:
        reply = await client.post({"query": "a"}, {"host": host, "authorization": f"bearer {TOKEN}"})
        assert reply.status == status
        assert (await client.get("/openapi.json", host=host)).status == status


@pytest.mark.anyio
async def test_there_is_no_redirect_to_wherever_the_client_says():
    async with running(hosts=("evil.example",)) as client:
        reply = await client.get("/healthz/", host="evil.example")
    assert reply.status == 404
    assert "location" not in reply.headers


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
async def test_the_scheme_of_the_token_has_no_case(scheme):
    async with running(token=TOKEN) as client:
        assert (await client.post({"query": "a"}, {"authorization": f"{scheme} {TOKEN}"})).status == 200
        assert (await client.post({"query": "a"}, {"authorization": f"{scheme} {TOKEN}x"})).status == 401
        assert (await client.post({"query": "a"}, {"authorization": TOKEN})).status == 401


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body", [{"query": "a", "sEcReT": 1}, {"queries": [{"query": "a", "sEcReT": 1}]}, {"sEcReT": 1}]
)
async def test_a_name_that_the_client_made_up_is_not_said_again(body):
    async with running() as client:
        reply = await client.ask("POST", "/v1/reformulate", [json.dumps(body).encode()], JSON)
    assert reply.status == 422
    assert "unknown field" in reply.json["detail"]
    assert "sEcReT" not in reply.body.decode()


def test_two_lengths_in_one_request_are_refused_once():
    smuggled = post(b'{"query": "second"}')
    head = post(b"", "transfer-encoding: chunked").replace(b"content-length: 0", b"content-length: 4")
    with live() as server, server.connection() as client:
        client.sendall(head + b"0\r\n\r\n" + smuggled)
        received = read_all(client)
    assert received.count(b"HTTP/1.1") == 1
    assert b" 400 " in received


@pytest.mark.parametrize(
    "said", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 40_000]
)
def test_what_is_no_http_is_told_so_in_json(said):
    with live() as server, server.connection() as client:
        client.sendall(said)
        received = read_all(client)
    head, _, body = received.partition(b"\r\n\r\n")
    assert b" 400 " in head
    assert b"application/json" in head
    assert json.loads(body)["detail"]
