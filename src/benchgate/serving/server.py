"""uvicorn around the application: a client that hangs is cut, SIGTERM and Ctrl-C finish what is queued."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from benchgate.serving.app import create_app
from benchgate.serving.reformulate import Reformulator
from benchgate.serving.settings import Settings

# h11 and not httptools: it bounds a request's head, and its cost is far below the model's.
MAX_HEAD = 16384
FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Protocol(H11Protocol):
    """uvicorn's, which waits for ever for the rest of a request's head and takes any number of connections."""

    settings: Settings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            transport.write(FULL)
            transport.close()
            return
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_is_there()
        elif not self.transport.is_closing():
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        """Give the client its time from the first byte, however slowly the others come."""
        if self._head is None:
            self._head = self.loop.call_later(self.settings.head_timeout_s, self.timeout_keep_alive_handler)

    def _head_is_there(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class Server(uvicorn.Server):
    """Refuses new questions as soon as it is told to stop, while those that are queued are answered."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.batcher.refuse()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def make_server(app: FastAPI, settings: Settings) -> Server:
    """uvicorn for the application, with the limits on connections and heads."""
    config = uvicorn.Config(
        app,
        http=type("LimitedProtocol", (Protocol,), {"settings": settings}),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEAD,
        timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]
        timeout_graceful_shutdown=settings.timeout_s,  # type: ignore[arg-type]
    )
    return Server(config)


def serve(load: Callable[[], Reformulator], settings: Settings, listening: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises what `load` raised when the model cannot be loaded."""
    logging.basicConfig(stream=sys.stderr, format="benchgate: %(levelname)s: %(message)s", level=logging.WARNING)
    server: Server

    def stop(signal_number: int = 0, frame: FrameType | None = None) -> None:
        server.should_exit = True

    app = create_app(load, settings, on_failure=stop)
    server = make_server(app, settings)
    # uvicorn takes both over while it runs and raises them again afterwards: then they have done their work.
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    failure = app.state.batcher.failure
    if failure is not None:
        raise failure
