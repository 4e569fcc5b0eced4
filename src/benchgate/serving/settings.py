"""The server's settings, checked once: limits, where to listen, and the token."""

from __future__ import annotations

import math
import os
import re
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from benchgate.core import BenchgateError

TOKEN_VARIABLE = "BENCHGATE_TOKEN"
TOKEN_MINIMUM = 16
# What an Authorization header can carry (RFC 6750, 2.1).
TOKEN_PATTERN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
# Questions of one request; a queue that is shorter lowers it.
MAX_QUERIES = 32


@dataclass(frozen=True)
class Settings:
    """Limits of a server; sizes in bytes, times in seconds. `queue` counts questions, not requests.

    `timeout_s` is what an accepted request may take, `head_timeout_s` and `body_timeout_s` what a client may take to
    send the head and the body of one, `keep_alive_s` how long an idle connection stays, `write_timeout_s` how long
    something may lie there that the client does not read. `hosts` are names, beside those of loopback, by which the
    server may be asked; with a token and none given, any.
    """

    max_batch: int = 16
    queue: int = 64
    timeout_s: float = 5.0
    max_bytes: int = 65536
    max_connections: int = 1024
    head_timeout_s: float = 5.0
    body_timeout_s: float = 5.0
    keep_alive_s: float = 30.0
    write_timeout_s: float = 5.0
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_batch", "queue", "timeout_s", "max_bytes", "max_connections"):
            if not 0 < getattr(self, name) < math.inf:
                option = "--" + name.removesuffix("_s").replace("_", "-")
                raise BenchgateError(f"{option} {getattr(self, name):g}: more than 0 is needed, and a number")

    def answers_to(self, host: str) -> bool:
        """True for a Host header by which this server may be asked.

        Without a token a page of the web, whose own name is made to mean this machine, could use the model otherwise.
        """
        if self.token is not None and not self.hosts:
            return True
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        # More than a name and a port, as a user or a path, is nobody's Host.
        if name is None or parts.username is not None or parts.netloc != host:
            return False
        return name == "localhost" or name in self.hosts or _is_loopback(name)

    @property
    def max_queries(self) -> int:
        """The most questions of one request."""
        return min(MAX_QUERIES, self.queue)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def read_token(file: Path | None) -> str | None:
    """The bearer token from a file or from $BENCHGATE_TOKEN; None where neither is given.

    Never from the command line, which every user of the machine can read. Raises BenchgateError for one that is too
    short or that no header can carry; the message does not hold it.
    """
    if file is not None:
        try:
            token, source = file.read_text(encoding="ascii").strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise BenchgateError(f"--token-file {file} cannot be read: {error}") from error
    else:
        found = os.environ.get(TOKEN_VARIABLE)
        if found is None:
            return None
        token, source = found.strip(), f"${TOKEN_VARIABLE}"
    if len(token) < TOKEN_MINIMUM or not TOKEN_PATTERN.fullmatch(token):
        raise BenchgateError(
            f"{source}: a token is at least {TOKEN_MINIMUM} letters, digits or -._~+/, which this one of {len(token)} "
            "is not; make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
        )
    return token


def listen(host: str, port: int, token: str | None) -> socket.socket:
    """A socket bound to host and port (0: any free one). Raises BenchgateError: port in use, no such host, no token.

    Beyond loopback a token is demanded: without one, everybody who reaches the machine could use its model.
    """
    if not 0 <= port <= 65535:
        raise BenchgateError(f"--port {port}: 0 (any free one) to 65535 are ports")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise BenchgateError(f"--host {host} --port {port}: no such address ({error}); try --host 127.0.0.1") from error
    if token is None and not ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise BenchgateError(
            f"--host {host} can be reached from other machines and there is no token; set ${TOKEN_VARIABLE} or "
            "--token-file, or listen on --host 127.0.0.1"
        )
    # With the protocol named, asyncio switches Nagle's algorithm off: an answer's head and body are two packets, and
    # the second would wait 40 ms for the client's delayed acknowledgement of the first.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        # Here, so that a port that somebody else listens on is told before the model is loaded.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise BenchgateError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another --port (0: any free one)"
        ) from error
    return bound
