"""A server in a process of its own, for whoever measures it from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

from benchgate.core import BenchgateError, Cell

START_S = 300.0
ANSWER_S = 30.0


@dataclass(frozen=True)
class ServerProcess:
    """Where it listens, and its process. In a record's parameters it is `benchgate serve`, whatever its port."""

    url: str
    pid: int

    def __str__(self) -> str:
        return "benchgate serve"


@contextlib.contextmanager
def server_process(cell: Cell, options: Sequence[str] = ()) -> Iterator[ServerProcess]:
    """`benchgate serve` of the cell, ready, in this folder and on a free port of the loopback interface.

    At the end it is stopped as a service manager would, with SIGTERM. Raises BenchgateError with its own words where it
    does not start, or does not end well.
    """
    command = [sys.executable, "-m", "benchgate.commands.main", "serve", cell.model, "--port", "0", *options]
    command += ["--scheme", cell.scheme, "--runtime", cell.runtime, "--device", cell.device]
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stderr=said) as process:
        try:
            yield _started(process, said)
        finally:
            process.terminate()
        if process.wait(ANSWER_S) != 0:
            raise BenchgateError(f"{' '.join(command)} ended with {process.returncode}: {_read(said)}")


def _started(process: subprocess.Popen[bytes], said: IO[str]) -> ServerProcess:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://\S+", _read(said))
        if found and _is_ready(found[0]):
            return ServerProcess(found[0], process.pid)
        time.sleep(0.05)
    raise BenchgateError(f"benchgate serve did not start: {_read(said) or f'nothing within {START_S:g} s'}")


def _read(said: IO[str]) -> str:
    said.seek(0)
    return said.read().strip()


def _is_ready(url: str) -> bool:
    try:
        with contextlib.closing(connect(url)) as connected:
            connected.request("GET", "/readyz")
            return connected.getresponse().status == 200
    except ConnectionError:
        # It has ended since it said where it listens; the next look finds that out.
        return False


def connect(url: str) -> http.client.HTTPConnection:
    """A connection that is kept open between requests."""
    parts = urlsplit(url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=ANSWER_S)


def post(connected: http.client.HTTPConnection, body: Mapping[str, Any]) -> Any:
    """Return the answer of /v1/reformulate. Raises BenchgateError for anything but 200."""
    content = json.dumps(body).encode()
    connected.request("POST", "/v1/reformulate", content, {"content-type": "application/json"})
    response = connected.getresponse()
    said = response.read()
    if response.status != 200:
        raise BenchgateError(f"/v1/reformulate answers {response.status}: {said[:200].decode(errors='replace')}")
    return json.loads(said)
