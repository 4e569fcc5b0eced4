"""The real server in a thread, on a free port of the loopback interface, around a fake model."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchgate.serving.app import create_app
from benchgate.serving.server import make_server
from benchgate.serving.settings import Settings, listen
from tests.serving.fakes import EchoSession, echo


@dataclass(frozen=True)
class Live:
    server: Any
    batcher: Any
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connected:
            yield connected


@contextlib.contextmanager
def live(session: EchoSession | None = None, **limits: Any) -> Iterator[Live]:
    own = session or EchoSession()
    settings = Settings(**limits)
    app = create_app(lambda: echo(own), settings)
    server = make_server(app, settings)
    with listen("127.0.0.1", 0, None) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        wait_for(lambda: app.state.batcher.ready)
        try:
            yield Live(server, app.state.batcher, listening.getsockname()[1])
        finally:
            own.gate.set()
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


def wait_for(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen within 5 s")


def post(body: bytes, *headers: str) -> bytes:
    """A request as it goes over the wire."""
    lines = ["POST /v1/reformulate HTTP/1.1", "host: localhost", "content-type: application/json", *headers]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def read_all(connected: socket.socket) -> bytes:
    """Until the server closes; a reset is a close too."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connected.recv(65536):
            received += piece
    return received
