"""Crowds: who makes room for whom where there are as many connections as are allowed."""

from __future__ import annotations

import json
import socket

import pytest

from benchgate.serving import server as serving
from benchgate.serving import waiting
from tests.serving.fakes import EchoSession
from tests.serving.live import live, post, read_all, wait_for


def test_a_crowd_that_waits_for_answers_leaves_room_for_health_checks_alone(monkeypatch):
    monkeypatch.setattr(waiting, "GRACE_S", 0.0)
    session = EchoSession()
    session.gate.clear()
    with live(session, max_connections=2) as server:
        crowd = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(2)]
        crowd[0].sendall(post(b'{"query": "a"}'))
        assert session.entered.wait(5)
        crowd[1].sendall(post(b'{"query": "b"}'))
        wait_for(lambda: server.batcher.waiting == 1)
        for path, status in ((b"/healthz", b" 200 "), (b"/readyz", b" 200 "), (b"/openapi.json", b" 503 ")):
            with server.connection() as one:
                one.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                assert status in read_all(one)
        with server.connection() as one:
            one.sendall(post(b'{"query": "a"}', "connection: close"))
            refused = read_all(one)
        for connected in crowd:
            connected.close()
    assert b" 503 " in refused
    assert b"retry-after: 1" in refused
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["detail"].startswith("too many connections")


def test_the_connection_that_was_silent_longest_makes_room(monkeypatch):
    monkeypatch.setattr(waiting, "GRACE_S", 0.0)
    with live(max_connections=3) as server, server.connection() as first, server.connection() as second:
        with server.connection() as kept:
            kept.sendall(post(b'{"query": "a"}'))
            assert b" 200 " in kept.recv(65536)
            with server.connection() as new:
                new.sendall(post(b'{"query": "b"}', "connection: close"))
                assert b" 200 " in read_all(new)
            assert read_all(first) == b""
            # Those that never asked go before one that did.
            with server.connection() as idle, server.connection() as new:
                new.sendall(post(b'{"query": "c"}', "connection: close"))
                assert b" 200 " in read_all(new)
                assert read_all(second) == b""
                kept.sendall(post(b'{"query": "d"}', "connection: close"))
                assert b" 200 " in read_all(kept)
                idle.sendall(post(b'{"query": "e"}', "connection: close"))
                assert b" 200 " in read_all(idle)
        wait_for(lambda: not server.server.server_state.connections)
        # Nor is any that is gone kept for ever, also one that never said a word.
        with server.connection():
            wait_for(lambda: server.server.server_state.connections)
        silent = server.server.config.http_protocol_class.waiting
        wait_for(lambda: silent.longest(float("inf")) is None)


@pytest.mark.parametrize(
    ("asked", "now", "gone"),
    [({}, 10.9, None), ({}, 11.0, "a"), ({"a"}, 11.6, "b"), ({"a", "b"}, 12.0, "a"), ({"a", "b"}, 10.9, None)],
)
def test_who_makes_room(asked, now, gone):
    crowd = waiting.Waiting()
    for name, since in (("c", 1.0), ("a", 10.0), ("b", 10.5)):
        crowd.add(name, since, name in asked)
    crowd.discard("c")
    assert crowd.longest(now) == gone


def test_a_silence_counts_from_the_last_answer():
    crowd = waiting.Waiting()
    crowd.add("a", 0.0, asked=False)
    crowd.add("a", 9.5, asked=True)
    assert crowd.longest(10.0) is None
    assert crowd.longest(10.5) == "a"


def test_beyond_the_reserve_a_refusal_is_json_too(monkeypatch):
    monkeypatch.setattr(waiting, "GRACE_S", 60.0)
    with live(max_connections=1) as server:
        crowd = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(1 + serving.RESERVE)]
        wait_for(lambda: len(server.server.server_state.connections) == 1 + serving.RESERVE)
        with server.connection() as one:
            refused = read_all(one)
        for connected in crowd:
            connected.close()
    assert refused == serving.FULL
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["detail"]
