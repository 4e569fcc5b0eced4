"""The messages between a run and the two versions of the project that it holds against each other.

Each side is a pytest of its own (`pytest_plugin.peer`), maybe of another interpreter and another benchgate: nothing is
pickled, all messages are JSON. A request is {"do": name, ...}; an answer {"ok": value} or {"error": {...}}. The first
message is the side's `Hello`, with the number of its protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from benchgate.core import BenchgateError, Unavailable
from benchgate.gate.side_by_side.proof import Proof
from benchgate.gate.side_by_side.timed import Begun, Block
from benchgate.machine.limits import is_out_of_memory
from benchgate.machine.workers import one_line
from benchgate.results import Record
from benchgate.results.record import parse_record

PROTOCOL = 1
MOST_BYTES = 256 * 2**20
Shape = TypeVar("Shape")


class SideError(BenchgateError):
    """Something that went wrong on a side; the message is the side's."""


class SideOutOfMemory(SideError, MemoryError):
    """A side's worker ended for lack of memory."""


@dataclass(frozen=True)
class Asked:
    """A test's question to its cell: both sides must have asked the same. `inputs` and `data` are descriptions."""

    cell: Mapping[str, str]
    operation: str
    params: Mapping[str, Any]
    threads: int
    inputs: Any
    data: Any
    scored: bool

    def differences(self, theirs: Asked) -> list[str]:
        """Parts that this side asked otherwise than the baseline (`theirs`), so that the two may not be compared."""
        names = ("cell", "operation", "params", "inputs", "data", "scored")
        pairs = {name: (getattr(theirs, name), getattr(self, name)) for name in names}
        return [f"other {name}: {_short(old)} -> {_short(new)}" for name, (old, new) in pairs.items() if old != new]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def send(channel: Connection, message: Mapping[str, Any]) -> None:
    channel.send_bytes(json.dumps(message).encode())


def receive(channel: Connection) -> dict[str, Any]:
    """The next message. Raises EOFError where the other end is gone, SideError for what is no message."""
    try:
        found = json.loads(channel.recv_bytes(MOST_BYTES))
    except ValueError as error:
        raise SideError(f"no message of this protocol: {error}") from error
    if not isinstance(found, dict):
        raise SideError(f"no message of this protocol: {type(found).__name__}")
    return found


def failure(error: BaseException) -> dict[str, Any]:
    """An error as an answer."""
    kind = "memory" if is_out_of_memory(error) else "unavailable" if isinstance(error, Unavailable) else "error"
    return {"error": {"kind": kind, "text": one_line(error)}}


def value_of(answer: Mapping[str, Any]) -> Any:
    """The value of an answer. Raises what the side raised: Unavailable, SideOutOfMemory or SideError."""
    error = answer.get("error")
    if error is None:
        return answer.get("ok")
    kinds: Mapping[str, type[BenchgateError]] = {"memory": SideOutOfMemory, "unavailable": Unavailable}
    kind, text = (str(error.get(part)) for part in ("kind", "text")) if isinstance(error, dict) else ("", str(error))
    raise kinds.get(kind, SideError)(text)


def unpacked(shape: type[Shape], raw: Any) -> Shape:
    """A dataclass of plain values from its JSON; lists become tuples. Raises SideError for anything else."""
    try:
        known = {field.name for field in fields(shape)}  # type: ignore[arg-type]
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in raw.items() if n in known}
        return shape(**values)
    except (AttributeError, TypeError) as error:
        raise SideError(f"a side's {shape.__name__} cannot be read: {error}") from error


def packed(value: Begun | Block | Proof | Asked) -> dict[str, Any]:
    return asdict(value)


def asked(raw: Any) -> Asked:
    """A test's question from its JSON. Raises SideError."""
    try:
        return Asked(**{field.name: raw[field.name] for field in fields(Asked)})
    except (KeyError, TypeError) as error:
        raise SideError(f"what a side asked cannot be read: {error}") from error


def record(raw: Any, test: str) -> Record:
    """A side's record. Raises SideError for what is none."""
    try:
        return parse_record(raw, test)
    except BenchgateError as error:
        raise SideError(str(error)) from error
