"""The errors whose message is written for the user.

::

    BenchgateError            anything benchgate itself has to say to the user, without a traceback
    +-- UnknownName           a model, scheme, runtime, device or task that nobody registered
    +-- DuplicateName         two objects registered under one name
    +-- Unavailable           cannot be had here and now (no CUDA, package missing): a skip, never a zero
    |   +-- CannotBeSent      not for a process of its own: what only is measured beside is skipped, a cell fails
    +-- InvalidOutput         the model answered with something that must not be scored (NaN, wrong shape)
    +-- DataError             a data set, model file or other input that cannot be read
        +-- TooLarge          a parameter beyond what the cell can take at all; it says by how much
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class BenchgateError(Exception):
    """Base of all errors whose message is written for the user: what was wrong, what is allowed, what to type."""


class UnknownName(BenchgateError):
    """A name that is in no registry; the message has the near matches and the whole list."""


class DuplicateName(BenchgateError):
    """Two registrations under one name; the message names both places."""


class Unavailable(BenchgateError):
    """Something cannot be had on this machine; `str(error)` is the reason that the report shows."""


class CannotBeSent(Unavailable):
    """Something of the suite that no other process can be given (a lock, an open file): no machine will have it."""


class InvalidOutput(BenchgateError):
    """A model's output that must not be scored or timed as if it were right."""


class DataError(BenchgateError):
    """Input that cannot be used; the message names the file, the line if there is one, and the next command."""


class TooLarge(DataError):
    """A parameter that is larger than the model, its data or the machine allow, by `excess`."""

    def __init__(self, message: str, excess: int) -> None:
        super().__init__(message)
        self.excess = excess

    def __reduce__(self) -> tuple[type[TooLarge], tuple[str, int]]:
        return type(self), (str(self), self.excess)


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """`unknown runtime 'onnx'; did you mean 'onnxruntime'? known: ggml, gptq, ...`."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or [k for k in known if name and name in k][:3]
    hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(known) or 'none'}"
