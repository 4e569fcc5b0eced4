"""Progress of a whole fleet: one line, drawn anew in a terminal, elsewhere a line each 30 s."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from benchgate.core.durations import spoken
from benchgate.pytest_plugin.fleet_scoring import Scoring
from benchgate.pytest_plugin.progress import Watch, screen


@dataclass
class State:
    """How far a run is: `done` tests of `total`; `known` are the seconds that tests took in an earlier run."""

    total: int
    scoring: Scoring
    known: Mapping[str, float]
    done: list[str] = field(default_factory=list)

    def line(self, elapsed_s: float) -> str:
        """Return what is said after `elapsed_s` seconds of the run."""
        said = [f"{len(self.done)}/{self.total} cells {spoken(elapsed_s)}"]
        there, wanted = self.scoring.count()
        if wanted:
            said.append(f"{there}/{wanted} shards of those that are scored now")
        if self.done and (work := sum(self.known.get(test, 0.0) for test in self.done)):
            left = sum(seconds for test, seconds in self.known.items() if test not in self.done)
            said.append(f"about {spoken(left * elapsed_s / work)} left")
        return ", ".join(said)


@contextlib.contextmanager
def shown(config: pytest.Config, line: Callable[[float], str]) -> Iterator[None]:
    """Have the line shown until the block ends; with -q, or where there is no output, it is not."""
    with contextlib.ExitStack() as stack:
        place = screen(config, stack) if config.option.verbose >= 0 else None
        watch = None if place is None else Watch(place, line)
        try:
            yield
        finally:
            if watch is not None:
                watch.stop()
