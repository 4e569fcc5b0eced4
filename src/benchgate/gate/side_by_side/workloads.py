"""Short pieces of work that need no model, to calibrate a machine on and to prove the gate with; and slowed copies.

A call takes some milliseconds on one thread. `slowed(load, share, how)` makes one that takes that share longer.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

from benchgate.gate.side_by_side.pairs import Load
from benchgate.gate.side_by_side.timed import Prepared

How = Literal["spin", "sleep"]
# A sleep is late by about this much (s): it is asked for that much shorter, and less than it is spun.
LATE_S = 60e-6
TEXT = "the quick brown fox jumps over the lazy dogs and runs through thick underbrush towards its burrow; " * 12
PIECES = ("th", "the", "qu", "ick", "br", "own", "ro", "und", "er", "ing", "s ", " an", "and", "ju", "mp", "ow")
LONGEST = 3


@dataclass(frozen=True)
class Workload:
    """A built-in piece of work: what its worker loads, and what its zygote imports."""

    load: Load
    preload: tuple[str, ...]
    about: str


def tokenizer() -> Callable[[], int]:
    """Pure Python: split a text into the longest pieces of a vocabulary."""
    known = {*PIECES, *TEXT}

    def call() -> int:
        count = 0
        for _ in range(8):
            at = 0
            while at < len(TEXT):
                size = next(size for size in range(LONGEST, 0, -1) if TEXT[at : at + size] in known)
                at, count = at + size, count + 1
        return count

    return call


def matmul() -> Callable[[], Any]:
    """numpy: products of matrices of 256 on one thread."""
    import numpy as np
    import threadpoolctl

    threadpoolctl.threadpool_limits(1)
    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal((256, 256)).astype(np.float32) for _ in range(2))

    def call() -> Any:
        found = first
        for _ in range(4):
            found = found @ second
            found /= 16.0
        return found

    return call


def softmax() -> Callable[[], Any]:
    """numpy: softmax over rows, bound by memory more than by arithmetic."""
    import numpy as np

    rows = np.random.default_rng(0).standard_normal((256, 2048)).astype(np.float32)

    def call() -> Any:
        found = np.exp(rows - rows.max(axis=1, keepdims=True))
        return found / found.sum(axis=1, keepdims=True)

    return call


WORKLOADS: Mapping[str, Workload] = {
    "tokenizer": Workload(tokenizer, (__name__,), "pure Python, branches and dictionaries"),
    "matmul": Workload(matmul, (__name__, "numpy", "threadpoolctl"), "numpy products on one thread, arithmetic"),
    "softmax": Workload(softmax, (__name__, "numpy"), "numpy over 2 MiB, memory"),
}


@runtime_checkable
class Slows(Protocol):
    """A load that is slowed where it runs, not by a wrapper around it."""

    def slowed(self, share: float, how: How) -> Load: ...


def slowed(load: Load, share: float, how: How) -> Load:
    """Return what loads the same call made longer by a share of its own time, on the CPU or asleep."""
    return load.slowed(share, how) if isinstance(load, Slows) else functools.partial(_load_slowed, load, share, how)


def _load_slowed(load: Load, share: float, how: How) -> Callable[[], Any] | Prepared:
    found = load()
    if isinstance(found, Prepared):
        return replace(found, call=_slowed_call(found.call, share, how))
    return _slowed_call(found, share, how)


def _slowed_call(call: Callable[[], Any], share: float, how: How) -> Callable[[], Any]:

    def longer() -> Any:
        # By the CPU's clock: of a call that queued behind a neighbour more would be added than was asked for.
        start = time.thread_time()
        found = call()
        used = time.thread_time()
        added = share * (used - start)
        if how == "sleep" and added > LATE_S:
            time.sleep(added - LATE_S)
            return found
        while time.thread_time() < used + added:
            pass
        return found

    return longer
