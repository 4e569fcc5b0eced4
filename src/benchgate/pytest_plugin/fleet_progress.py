"""Progress of a whole fleet: one line, drawn anew in a terminal, elsewhere a line where nothing is done for 30 s."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import pytest

from benchgate.core.durations import spoken
from benchgate.pytest_plugin.fleet_scoring import Scoring
from benchgate.pytest_plugin.progress import Screen, Watch, screen


@dataclass
class State:
    """How far a run is: `done` tests of `total`; `known` are the seconds that tests took in an earlier run."""

    total: int
    scoring: Scoring
    known: Mapping[str, float]
    begun: float = field(default_factory=time.monotonic)
    done: list[str] = field(default_factory=list)

    def line(self, elapsed_s: float) -> str:
        """Return what is said after `elapsed_s` seconds of the run."""
        said = [f"{len(self.done)}/{self.total} cells {spoken(elapsed_s)}"]
        there, wanted = self.scoring.count()
        if wanted:
            said.append(f"{there}/{wanted} shards of those that are scored now")
        work = sum(self.known.get(test, 0.0) for test in self.done)
        left = sum(seconds for test, seconds in self.known.items() if test not in self.done)
        if work and left:
            said.append(f"about {spoken(left * elapsed_s / work)} left")
        return ", ".join(said)


class Shown:
    """Shows the state below pytest's own lines while nothing else is written; with -q, or without output, nothing."""

    def __init__(self, config: pytest.Config, state: State) -> None:
        self._config, self._state = config, state
        self._stack = contextlib.ExitStack()
        self._place: Screen | None = None
        self._watch: Watch | None = None

    def __enter__(self) -> Self:
        if self._config.option.verbose >= 0:
            self._place = screen(self._config, self._stack)
        self._begin()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop()
        self._stack.close()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Leave the terminal to pytest as long as the block runs."""
        self._stop()
        yield
        self._begin()

    def _begin(self) -> None:
        if self._place is not None:
            self._watch = Watch(self._place, lambda elapsed_s: self._state.line(time.monotonic() - self._state.begun))

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
