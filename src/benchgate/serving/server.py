"""uvicorn around the application: a client that hangs is cut, SIGTERM and Ctrl-C finish what is queued."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from benchgate.serving.app import create_app
from benchgate.serving.batching import Batcher
from benchgate.serving.guard import RESERVED
from benchgate.serving.log import log_within_limits
from benchgate.serving.reformulate import Reformulator
from benchgate.serving.settings import Settings
from benchgate.serving.waiting import Waiting

# h11 and not httptools: it bounds a request's head, and its cost is far below the model's.
MAX_HEAD = 16384
# Connections beyond the limit, for health checks alone, and how long one may wait with its question.
RESERVE = 16
RESERVE_HEAD_S = 1.0
# Connections that are accepted before any of them is looked at.
BACKLOG = 256
# Files of the process beside its connections: libraries, models, the log.
OTHER_FILES = 128
TICKS_PER_SECOND = 10
# Requests sent at once on one connection, beyond the first.
MOST_PIPELINED = 8
# What a model that has answered everything takes to close.
ENDING_S = 2.0
# What answers say from then on, and how long a question that was on its way is waited for.
ENDING = (b"connection", b"close")
LINGER_S = 0.2
STOPPING = (signal.SIGINT, signal.SIGTERM)


def _plain(status: str, reason: str, *headers: str) -> bytes:
    """An answer of the protocol itself, before there is a request that the application could see."""
    body = json.dumps({"detail": reason})
    head = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*head, "connection: close", "", body]).encode()


FULL = _plain("503 Service Unavailable", "too many connections; try again", "retry-after: 1")
NOT_HTTP = _plain("400 Bad Request", "not HTTP/1.1, or a head that is too long")


class Protocol(H11Protocol):
    """uvicorn's, which waits for ever for the rest of a request's head and takes any number of connections."""

    settings: Settings
    # Of all connections of one server.
    waiting: Waiting[Protocol]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: asyncio.TimerHandle | None = None
        self._head_s = self.settings.head_timeout_s
        self._unread_since: float | None = None
        self._in_a_row = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            self._make_room()
        if len(self.connections) > self.settings.max_connections + RESERVE:
            transport.write(FULL)
            transport.close()
            return
        if len(self.connections) > self.settings.max_connections:
            self.app_state = {**self.app_state, RESERVED: True}
            self._head_s = min(self._head_s, RESERVE_HEAD_S)
            self.timeout_keep_alive = RESERVE_HEAD_S  # type: ignore[assignment]
        self.waiting.add(self, self.loop.time(), asked=False)
        self._expect_head()

    def _make_room(self) -> None:
        """Close the connection that has been silent longest, where one has been for long enough."""
        longest = self.waiting.longest(self.loop.time())
        if longest is not None:
            self.waiting.discard(longest)
            # Its end is told in a later round of the loop; it has no place in the count until then.
            self.connections.discard(longest)
            longest.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._answering():
            self.waiting.discard(self)
            self._head_is_there()
        elif not self.transport.is_closing():
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        self.waiting.discard(self)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self.transport.write(NOT_HTTP)
        self.transport.close()

    def on_response_complete(self) -> None:
        # What came with the request before it, without waiting for the answer: no browser and no library does that.
        self._in_a_row = self._in_a_row + 1 if self.conn.trailing_data[0] else 0
        if self._in_a_row > MOST_PIPELINED:
            self.transport.close()
        super().on_response_complete()
        if not self._answering() and not self.transport.is_closing():
            self.waiting.add(self, self.loop.time(), asked=True)

    def _answering(self) -> bool:
        """True while a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    def shutdown(self) -> None:
        """uvicorn's, which cuts at once where it sees no request, also one that is on its way, and tells nobody."""
        if self._answering():
            self.cycle.default_headers = [*self.cycle.default_headers, ENDING]
            super().shutdown()
        else:
            self.loop.call_later(LINGER_S, self._end_unless_asked)

    def _end_unless_asked(self) -> None:
        # One that has been asked since then ends with its answer, whose header says so.
        if not self._answering():
            self.timeout_keep_alive_handler()

    def cut_if_unread(self, now: float) -> None:
        """Drop the connection where something has lain unread for too long, also one that is only being closed."""
        if self.transport.get_write_buffer_size() == 0:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > self.settings.write_timeout_s:
            self.transport.abort()

    def _expect_head(self) -> None:
        """Give the client its time from the first byte, however slowly the others come."""
        if self._head is None:
            self._head = self.loop.call_later(self._head_s, self.timeout_keep_alive_handler)

    def _head_is_there(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class Server(uvicorn.Server):
    """Cuts clients that do not read. Refuses new questions as soon as it is told to stop, while those that are queued
    are answered."""

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_SECOND == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Protocol)
                connection.cut_if_unread(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        batcher: Batcher = self.config.app.state.batcher  # type: ignore[union-attr]
        batcher.refuse()
        self.server_state.default_headers = [*self.server_state.default_headers, ENDING]
        await super().shutdown(sockets)
        if self.force_exit:
            # Ctrl-C twice: uvicorn leaves the application's end to be cancelled, which is logged as an error.
            batcher.abandon()
            await self.lifespan.shutdown()


def make_server(app: FastAPI, settings: Settings) -> Server:
    """uvicorn for the application, with the limits on connections and heads."""
    config = uvicorn.Config(
        app,
        http=type("LimitedProtocol", (Protocol,), {"settings": settings, "waiting": Waiting()}),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=MAX_HEAD,
        timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]
        timeout_graceful_shutdown=settings.timeout_s,  # type: ignore[arg-type]
    )
    return Server(config)


def within_file_limit(settings: Settings) -> Settings:
    """The settings with no more connections than this process may have files; its soft limit is raised first."""
    needed = settings.max_connections + RESERVE + BACKLOG + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return settings
    fitting = max(1, settings.max_connections - (needed - soft))
    print(f"benchgate: --max-connections {fitting}: `ulimit -n` is {soft}", file=sys.stderr, flush=True)
    return replace(settings, max_connections=fitting)


def serve(
    load: Callable[[], Reformulator],
    settings: Settings,
    listening: socket.socket,
    announce: Callable[[], None] = lambda: None,
) -> bool:
    """Serve until SIGTERM or Ctrl-C; returns False where the model is still at a batch that nobody waits for any more.

    `announce` is called as soon as a signal would be heeded; from then on none ends the process in another way, and
    when this returns it ignores both: it is on its way out. Raises what `load` raised when the model cannot be loaded.
    """
    log_within_limits()
    settings = within_file_limit(settings)

    def stop(signal_number: int = 0, frame: FrameType | None = None) -> None:
        server.should_exit = True

    app = create_app(load, settings, on_failure=stop)
    server = make_server(app, settings)
    # uvicorn takes both over while it runs and raises them again afterwards: then they have done their work.
    for number in STOPPING:
        signal.signal(number, stop)
    try:
        announce()
        server.run(sockets=[listening])
        failure = app.state.batcher.failure
        if failure is not None:
            raise failure
        return bool(app.state.batcher.has_ended(ENDING_S))
    finally:
        # A handler would be gone before the interpreter is, and a signal would end it with what is not 0.
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
