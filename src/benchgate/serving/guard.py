"""Before the application: who asks, what is sent, how much of it, how fast. Plain ASGI, around everything else.

A request's body is read whole here, within its limits, and handed on: what comes behind sees only good ones.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchgate.serving.settings import Settings

# Without a token, so that whatever watches the server needs none; the description of the API is no secret either.
OPEN = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
# What a connection beyond the limit may ask: whoever watches the server must not take it for dead.
HEALTH = frozenset({"/healthz", "/readyz"})
RESERVED = "reserved"
WITH_BODY = ("POST", "/v1/reformulate")
# A body that is too long is read on for a little before the refusal, or many clients see a broken pipe instead of it.
DISCARDED = 1_000_000


@dataclass(frozen=True)
class Refused(Exception):
    """A request that does not reach the application."""

    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Guard:
    """ASGI middleware. `observe(path, status, seconds)` is told of every answer, those of the guard too."""

    def __init__(self, app: ASGIApp, settings: Settings, observe: Callable[[str, int, float], None]) -> None:
        self.app, self.settings, self.observe = app, settings, observe
        self._expected = None if settings.token is None else settings.token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, await self._admitted(scope, receive), watched)
        except Refused as refused:
            await _refuse(refused, watched)
        except asyncio.CancelledError:
            # Only the server's end cancels a request; uvicorn would log it as an error and answer in plain text.
            if status == 0:
                await _refuse(Refused(503, "the server is shutting down", (*_CLOSE, (b"retry-after", b"5"))), watched)
        except Exception:
            status = 500
            raise
        finally:
            self.observe(scope["path"], status, time.perf_counter() - start)

    async def _admitted(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` for the application, the whole body in its first message. Raises Refused."""
        headers = dict(scope["headers"])
        if scope.get("state", {}).get(RESERVED) and scope["path"] not in HEALTH:
            raise Refused(503, "too many connections; try again", (*_CLOSE, (b"retry-after", b"1")))
        if b"content-length" in headers and b"transfer-encoding" in headers:
            # Two that read it differently would see different requests in it.
            raise Refused(400, "content-length and transfer-encoding together", _CLOSE)
        if not self.settings.answers_to(headers.get(b"host", b"").decode("latin-1")):
            raise Refused(421, "this server is not asked by that name; --allow-host NAME adds one", _CLOSE)
        self._authorize(scope["path"], headers)
        if (scope["method"], scope["path"]) != WITH_BODY:
            # The application reads no body of any other.
            return receive
        _check_kind(headers)
        return _replayed(await self._body(headers, receive), receive)

    def _authorize(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._expected is None or path in OPEN:
            return
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._expected):
            raise Refused(401, "a valid bearer token is needed", (*_CLOSE, (b"www-authenticate", b"Bearer")))

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self.settings.max_bytes
        refusal = Refused(413, f"the body may have at most {limit} bytes", _CLOSE)
        declared = headers.get(b"content-length", b"0")
        if b"expect" in headers and declared.isdigit() and int(declared) > limit:
            # The client waits for leave to send; it does not get it.
            raise refusal
        body, seen = bytearray(), 0
        try:
            async with asyncio.timeout(self.settings.body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the client went away before its body was there", _CLOSE)
                    chunk = message.get("body", b"")
                    seen += len(chunk)
                    if seen <= limit:
                        body += chunk
                    elif seen > limit + DISCARDED:
                        raise refusal
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            seconds = self.settings.body_timeout_s
            raise Refused(408, f"the body was not there within {seconds:g} s", _CLOSE) from None
        if seen > limit:
            raise refusal
        return bytes(body)


_CLOSE = ((b"connection", b"close"),)


def _check_kind(headers: dict[bytes, bytes]) -> None:
    """Raises Refused for a body that says it is something else than JSON in UTF-8, as it stands (RFC 8259, 8.1)."""
    kind, *parameters = (part.strip().lower() for part in headers.get(b"content-type", b"").split(b";"))
    if kind != b"application/json":
        raise Refused(415, "content-type must be application/json", _CLOSE)
    charsets = (part.partition(b"=")[2].strip(b'"') for part in parameters if part.startswith(b"charset="))
    if any(charset != b"utf-8" for charset in charsets):
        raise Refused(415, "JSON is taken in UTF-8 only", _CLOSE)
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        # Unpacked it could be of any size.
        raise Refused(415, "a compressed body is not taken; send it as it is", _CLOSE)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Receive the body in one piece, as the server would send it; then its own messages (a disconnect)."""
    handed = False

    async def replay() -> Message:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(refused: Refused, send: Send) -> None:
    content = json.dumps({"detail": refused.reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": [*headers, *refused.headers]})
    await send({"type": "http.response.body", "body": content})
