"""A version of the project as a process: its own pytest, in its own folder and interpreter, asked over a wire.

See `pytest_plugin.peer` for the inside. `PeerTeam` makes it a side of a comparison.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError
from benchgate.executors import wire
from benchgate.executors.wire import SideError
from benchgate.gate.side_by_side.pairs import Side
from benchgate.gate.side_by_side.timed import Begun, Block
from benchgate.gate.side_by_side.workloads import How
from benchgate.machine.workers import death

PLUGIN = "benchgate.pytest_plugin.peer"
# Importing frameworks and collecting on a busy machine.
START_S = 600.0
END_S = 20.0
LAST_LINES, LAST_BYTES = 6, 8192
# A worker is given its own time limit; the wire waits a little longer, for the answer that it was over.
GRACE_S = 60.0


@dataclass(frozen=True)
class Start:
    """How a pytest is started: interpreter, folder, arguments, variables beside this process's; the plugin that
    answers, and its option for the wire."""

    name: str
    python: str
    folder: Path
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    plugin: tuple[str, str] = (PLUGIN, "--gate-peer")


class Peer:
    """A side's running pytest. `tests` are the ids it has, `failed` what it could not collect, by file."""

    def __init__(self, start: Start) -> None:
        self.name = start.name
        # Open as long as the process runs.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        ours, theirs = socket.socketpair()
        plugin, option = start.plugin
        command = [start.python, "-P", "-m", "pytest", "-p", plugin, option, str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(
                [*command, *start.arguments],
                cwd=start.folder,
                env={**os.environ, **start.environment},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise DataError(f"{start.python}, for the {start.name}, cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        self._channel = Connection(ours.detach())
        self.tests: tuple[str, ...] = ()
        self.failed: Mapping[str, str] = {}

    def greet(self) -> None:
        """Wait until it has collected. Raises SideError where it cannot, or speaks another protocol."""
        hello = self._hear(START_S)
        if hello.get("protocol") != wire.PROTOCOL:
            raise SideError(
                f"its benchgate speaks protocol {hello.get('protocol')} and this one {wire.PROTOCOL}: install one "
                "version on both sides"
            )
        self.tests = tuple(map(str, hello.get("tests", ())))
        self.failed = {str(name): str(why) for name, why in dict(hello.get("failed", {})).items()}

    def ask(self, do: str, timeout_s: float | None = None, **parts: Any) -> Any:
        """The answer to one request. Raises what the side raised, SideError where it is gone."""
        self.send(do, timeout_s=timeout_s, **parts)
        return self.hear(timeout_s)

    def send(self, do: str, **parts: Any) -> None:
        """Ask without waiting, so that the other side works meanwhile; `hear` has the answer."""
        with contextlib.suppress(OSError):
            # Where it is gone `hear` says how.
            wire.send(self._channel, {"do": do, **parts})

    def exchange(self, do: str, **parts: Any) -> dict[str, Any]:
        """The answer to one request as it came, for `wire.value_of`. Raises SideError where the side is gone."""
        self.send(do, **parts)
        return self._hear(None)

    def hear(self, timeout_s: float | None = None) -> Any:
        return wire.value_of(self._hear(None if timeout_s is None else timeout_s + GRACE_S))

    def _hear(self, timeout_s: float | None) -> dict[str, Any]:
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._channel.poll(1.0):
            if end is not None and time.monotonic() >= end:
                self.kill()
                raise SideError(f"it did not answer within {timeout_s:g} s{self.last_lines()}")
        try:
            return wire.receive(self._channel)
        except (EOFError, OSError) as error:
            raise SideError(f"its pytest {self._death()}{self.last_lines()}") from error

    def _death(self) -> str:
        try:
            return death(self._process.wait(END_S))
        except subprocess.TimeoutExpired:
            self.kill()
            return "closed its end of the wire and went on; killed"

    def last_lines(self) -> str:
        """`; it said: ...`, the end of what it printed, or "" where that is nothing."""
        self._output.seek(max(0, os.fstat(self._output.fileno()).st_size - LAST_BYTES))
        text = self._output.read().decode("utf-8", "replace")
        lines = ["".join(c if c.isprintable() else "?" for c in line).strip() for line in text.splitlines()]
        told = [line for line in lines if line][-LAST_LINES:]
        return "; it said: " + " | ".join(told) if told else ""

    def tell(self, do: str, **parts: Any) -> None:
        """Ask for something whose failure changes nothing: where the side is gone, the next question says so."""
        with contextlib.suppress(BenchgateError):
            self.ask(do, END_S, **parts)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, 9)
        self._process.wait()

    def close(self) -> None:
        """End it and all of its processes."""
        self._channel.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._output.close()


@dataclass(frozen=True)
class PeerLoad:
    """The call of one test's cell as a `Side` has it: it is loaded where its peer runs, so nothing here can call it.

    `slow` is a share of the call's own time that is added, and how.
    """

    test: str
    slow: tuple[float, How] | None = None

    def __call__(self) -> Any:
        raise AssertionError(f"{self.test} is loaded by its own side")

    def slowed(self, share: float, how: How) -> PeerLoad:
        return replace(self, slow=(share, how))


@dataclass(frozen=True)
class PeerWorker:
    """A worker of a side's cell."""

    peer: Peer
    load: PeerLoad
    number: int

    def begin(self, timeout_s: float) -> Begun:
        # A side of an older version knows no slowing; it is not asked for any.
        slow = {} if self.load.slow is None else {"slow": list(self.load.slow)}
        found = self.peer.ask("begin", timeout_s, test=self.load.test, worker=self.number, **slow)
        return wire.unpacked(Begun, found)

    def block(self, seconds: float, cpus: frozenset[int] | None, timeout_s: float) -> Block:
        chosen = None if cpus is None else sorted(cpus)
        found = self.peer.ask("block", timeout_s, worker=self.number, seconds=seconds, cpus=chosen)
        return wire.unpacked(Block, found)

    def close(self) -> None:
        self.peer.tell("end", worker=self.number)


class PeerTeam:
    """A peer's workers of one side, whose load is a `PeerLoad`."""

    def __init__(self, peer: Peer, side: Side, seed: int) -> None:
        assert isinstance(side.load, PeerLoad)
        self._peer, self._load, self._seed, self._made, self._renewed = peer, side.load, seed, 0, 0

    def worker(self) -> PeerWorker:
        self._made += 1
        return PeerWorker(self._peer, self._load, self._made)

    def renew(self) -> None:
        self._renewed += 1
        self._peer.tell("renew", test=self._load.test, hashes=(self._seed + self._renewed) % 2**32)

    def close(self) -> None:
        self._peer.tell("renew", test=self._load.test, hashes=None)


def python_of(text: str | None) -> str:
    """The interpreter that a side runs by: this one where None. Raises DataError for what is none."""
    if text is None:
        return sys.executable
    path = Path(text).expanduser()
    found = path / "bin" / "python" if path.is_dir() else path
    if not (found.is_file() and os.access(found, os.X_OK)):
        raise DataError(f"{text!r} is no interpreter; give the path of one, for example .venv-old/bin/python")
    return str(found.absolute())
