"""The rounds of a test: pytest-benchmark's, which sizes, times and keeps them. The one place that knows its inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchgate.measuring.timing import Plan, Samples


class BenchmarkRounds:
    """Rounds by pytest-benchmark's fixture. `max_time` (s) and `min_rounds` are the limits that the test has of it."""

    def __init__(self, benchmark: Any, max_time: float, min_rounds: int) -> None:
        self._benchmark, self._max_time, self._min_rounds = benchmark, max_time, min_rounds

    def run(
        self, call: Callable[[], Any], prepare: Callable[[], None] | None, after: Callable[[int], None], plan: Plan
    ) -> Samples | None:
        """Hand the warm call over: pytest-benchmark sizes its rounds from one call, so it must not be cold.

        Work that is prepared before each call, or that goes through turns, is timed call by call.
        """
        _tell(self._benchmark, after)
        if prepare is None and plan.a_pass is None:
            self._benchmark(call)
        else:
            rounds = plan.rounds(self._min_rounds, self._max_time)
            self._benchmark.pedantic(call, setup=prepare, rounds=rounds)
        timed = self._benchmark.stats
        return None if timed is None else Samples(tuple(timed.stats.data), timed.iterations)


def _tell(benchmark: Any, after: Callable[[int], None]) -> None:
    """Have `after` called when a round's time is taken. Only what is passed to `update` is a timed round."""
    make = benchmark._make_stats

    def making(iterations: int) -> Any:
        made = make(iterations)
        update = made.update

        def updating(duration: float) -> None:
            update(duration)
            after(iterations)

        made.update = updating
        return made

    benchmark._make_stats = making
