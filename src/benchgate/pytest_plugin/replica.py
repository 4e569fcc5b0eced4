"""pytest-benchmark's own fixture where there is no pytest: in a worker, once a block, with a test's options.

Together with `benchmark_adapter` the only place that uses names which pytest-benchmark does not promise: the fixture's
constructor, and `_make_stats`, `update`, `_mode` and `cprofile_stats` to give the test's own fixture what was measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_benchmark import fixture as benchmark_fixture

# pytest-benchmark has no type annotations.
BenchmarkFixture: Any = benchmark_fixture.BenchmarkFixture

MODE = "in a worker"


@dataclass(frozen=True)
class Options:
    """The test's id, and the options that its fixture was made with; `disabled` is --benchmark-disable."""

    name: str
    fullname: str
    disabled: bool
    values: Mapping[str, Any]

    def with_values(self, **values: Any) -> Options:
        """The same but for these values."""
        return Options(self.name, self.fullname, self.disabled, {**self.values, **values})


@dataclass(frozen=True)
class Rounds:
    """The rounds of one replica: seconds a round (the mean of its iterations), and the profile if one was asked for."""

    samples: tuple[float, ...] = ()
    iterations: int = 1
    cprofile_stats: Any = None


class _Node:
    """The parts of a pytest item that the fixture looks at."""

    def __init__(self, options: Options) -> None:
        self.name, self.nodeid = options.name, options.fullname
        # 5.1 asks for this one.
        self._nodeid = options.fullname


@dataclass
class _Logger:
    """Keeps what pytest-benchmark would have printed."""

    lines: list[str] = field(default_factory=list)

    def debug(self, text: str, **_: Any) -> None:
        self.lines.append(text)

    info = warning = error = debug


def options_of(fixture: Any, values: Mapping[str, Any]) -> Options:
    """Options for replicas of a test's fixture; `values` are the session's, with the mark's over them."""
    return Options(fixture.name, fixture.fullname, fixture.disabled, dict(values))


def replica(options: Options) -> Any:
    """A fixture of pytest-benchmark's own, unused."""
    return BenchmarkFixture(
        _Node(options),
        add_stats=lambda _: None,
        logger=_Logger(),
        warner=lambda _: None,
        disabled=options.disabled,
        **options.values,
    )


def rounds_of(fixture: Any) -> Rounds:
    """The rounds that a used replica measured; none where it was disabled."""
    if fixture.stats is None:
        return Rounds()
    stats = fixture.stats
    iterations = stats.iterations
    samples = tuple(float(sample) for sample in stats.stats.data)
    profile = getattr(stats, "cprofile_stats", None)
    if profile is not None:
        # Where it would print to: an open file cannot be sent to another process.
        profile.stream = None
    return Rounds(samples, iterations, profile)


def absorb(fixture: Any, all_rounds: Sequence[Rounds], profile: Any = None) -> None:
    """Give a test's own fixture what its replicas measured, as if it had measured it; nothing where that is nothing.

    The iterations are the first's: blocks of one call have equal ones, since it is warm when the first begins.
    """
    fixture._mode = MODE
    measured = [rounds for rounds in all_rounds if rounds.samples]
    if not measured:
        return
    stats = fixture._make_stats(measured[0].iterations)
    for rounds in measured:
        for sample in rounds.samples:
            # Stats.update of Metadata divides by the iterations, which the sample is the mean of already.
            stats.update(sample * measured[0].iterations)
    if profile is not None:
        profile.stream = sys.stdout
        stats.cprofile_stats = profile


def timing(options: Options, after: Callable[[int], None] | None, use: Callable[[Any], Any]) -> Callable[[], Rounds]:
    """A function that makes a fresh replica, has it used, and gives its rounds; `after(calls)` behind each of them."""

    def timed() -> Rounds:
        fixture = replica(options)
        if after is not None:
            _tell(fixture, after)
        use(fixture)
        return rounds_of(fixture)

    return timed


def _tell(fixture: Any, after: Callable[[int], None]) -> None:
    """Have `after` called when a round's time is taken. Only what is passed to `update` is a timed round."""
    make = fixture._make_stats

    def making(iterations: int) -> Any:
        made = make(iterations)
        update = made.update

        def updating(duration: float) -> None:
            update(duration)
            after(iterations)

        made.update = updating
        return made

    fixture._make_stats = making
