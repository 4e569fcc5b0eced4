"""Asking an ASGI application without a socket, so that a test has every message of the client's in its hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchgate.serving.app import create_app
from benchgate.serving.reformulate import Reformulator
from benchgate.serving.settings import Settings
from tests.serving.fakes import EchoSession, echo

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """`chunks` are the body as it arrives; after them comes a disconnect once `gone` is set."""

    app: Any

    async def ask(
        self,
        method: str,
        path: str,
        chunks: Sequence[bytes] = (b"",),
        headers: dict[str, str] | None = None,
        gone: asyncio.Event | None = None,
        pause_s: float = 0.0,
    ) -> Reply:
        pending, sent = list(chunks), []

        async def receive() -> dict[str, Any]:
            if pending:
                await asyncio.sleep(pause_s)
                return {"type": "http.request", "body": pending.pop(0), "more_body": bool(pending)}
            await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        said = {"host": "localhost", **(headers or {})}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "server": ("test", 80),
            "client": ("test", 1),
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in said.items()],
        }  # fmt: skip
        with contextlib.suppress(RuntimeError):
            # What the application raises after its 500 is for the server's log.
            await self.app(scope, receive, send)
        start = sent[0]
        answered = {k.decode(): v.decode() for k, v in start["headers"]}
        return Reply(start["status"], answered, b"".join(m.get("body", b"") for m in sent[1:]))

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.ask("GET", path, headers=headers)

    async def post(self, body: Any, headers: dict[str, str] | None = None) -> Reply:
        """POST /v1/reformulate of bytes, or of anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", "/v1/reformulate", [content], {**JSON, **(headers or {})})

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("it did not happen within 5 s")


@contextlib.asynccontextmanager
async def running(
    session: EchoSession | None = None,
    load: Callable[[], Reformulator] | None = None,
    ready: bool = True,
    **limits: Any,
) -> AsyncIterator[Client]:
    """The application with a fake model, started, and by default ready."""
    own = session or EchoSession()
    app = create_app(load or (lambda: echo(own)), Settings(**limits))
    async with app.router.lifespan_context(app):
        client = Client(app)
        if ready:
            await client.until(lambda: app.state.batcher.ready)
        yield client
        own.gate.set()


@contextlib.asynccontextmanager
async def busy(**limits: Any) -> AsyncIterator[tuple[Client, EchoSession, asyncio.Task[Reply]]]:
    """An application whose model is at a first query and stays there until `session.gate` is set."""
    session = EchoSession()
    session.gate.clear()
    async with running(session, **limits) as client:
        first = asyncio.create_task(client.post({"query": "first"}))
        await client.until(session.entered.is_set)
        yield client, session, first
