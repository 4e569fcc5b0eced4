"""Several sessions of one cell at a time: their works as one, each in a thread of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchgate.core import Lapped, Work


@contextlib.contextmanager
def together(works: Sequence[Work]) -> Iterator[Work]:
    """A work whose call is one of each, at the same time, and ends when all have; a single one is as it was."""
    if len(works) == 1:
        yield works[0]
        return
    calls = [work.started() for work in works]
    with ThreadPoolExecutor(len(works)) as pool:
        yield Work(
            call=lambda: [done.result() for done in [pool.submit(call) for call in calls]],
            units=sum(work.units for work in works),
            throughput=works[0].throughput,
            check=lambda outputs: _check(works, outputs),
            prepare=lambda: _run([work.prepare for work in works]),
            begin=lambda: _run([work.begin for work in works]),
        )


def _run(parts: Sequence[Callable[[], None] | None]) -> None:
    for part in parts:
        if part is not None:
            part()


def _check(works: Sequence[Work], outputs: Sequence[Any]) -> None:
    for work, output in zip(works, outputs, strict=True):
        if work.check is not None:
            work.check(output.output if isinstance(output, Lapped) else output)
