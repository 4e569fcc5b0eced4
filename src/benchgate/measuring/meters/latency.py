"""Time per call: the statistics of rounds, and the meter that has them timed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol, runtime_checkable

from benchgate.core import BenchgateError, Metric, Unavailable, stats
from benchgate.core.metrics import metric
from benchgate.machine import neighbours
from benchgate.measuring.meters.base import Reading, Subject
from benchgate.measuring.timing import Timing, time_work

PERCENTILES = {"latency_p50_s": 0.50, "latency_p90_s": 0.90, "latency_p95_s": 0.95, "latency_p99_s": 0.99}
SWITCHED_OFF = "timing is switched off (--benchmark-disable, or pytest-xdist)"


def latency_metrics(samples: Sequence[float], iterations: int = 1) -> tuple[dict[str, Metric], dict[str, str]]:
    """Metrics of seconds per call, and what could not be had of them with the reason.

    With more than one iteration a round, a sample is a mean: it has no percentiles of single calls.
    """
    n = len(samples)
    mean = stats.mean(samples)
    found = {
        "latency_mean_s": metric(
            "latency_mean_s", mean.value, n=n, low=mean.low, high=mean.high, method="mean of rounds; t interval"
        ),
        "latency_min_s": metric("latency_min_s", min(samples), n=n, method="fastest round"),
        "latency_median_s": _median("latency_median_s", samples),
    }
    missing: dict[str, str] = {}
    if n > 1:
        found["latency_std_s"] = metric("latency_std_s", statistics.stdev(samples), n=n, method="sample deviation")
    else:
        missing["latency_std_s"] = "one round has no deviation"
    for name, q in PERCENTILES.items():
        try:
            if iterations > 1:
                raise stats.TooFewSamples(f"a round is the mean of {iterations} calls; percentiles need single calls")
            estimate = stats.percentile(samples, q)
        except stats.TooFewSamples as reason:
            missing[name] = str(reason)
            continue
        found[name] = metric(
            name,
            estimate.value,
            n=n,
            low=estimate.low,
            high=estimate.high,
            method="nearest rank; 95 % order statistics",
        )
    return found, missing


def _median(name: str, samples: Sequence[float]) -> Metric:
    low = high = None
    method = "median of rounds; too few rounds for an interval"
    if len(samples) >= stats.samples_needed(0.5):
        bounds = stats.percentile(samples, 0.5)
        low, high, method = bounds.low, bounds.high, "median of rounds; 95 % order statistics"
    return metric(name, statistics.median(samples), n=len(samples), low=low, high=high, method=method)


def throughput(name: str, units: float, median: Metric) -> Metric:
    """Return units per second at the median latency; the interval is the latency's, turned round."""
    if median.value <= 0:
        raise BenchgateError(f"a median of {median.value} s per call cannot be: the timer does not move")
    return metric(
        name,
        units / median.value,
        n=median.n,
        low=units / median.high if median.high else None,
        high=units / median.low if median.low else None,
        method=f"{units:g} per call / {median.method}",
    )


@runtime_checkable
class Observable(Protocol):
    """A session that can say more of its kernels from watching one call."""

    def observe(self, call: Callable[[], Any]) -> Mapping[str, Any]:
        """Return what ran in the call. Raises Unavailable."""


class Latency:
    """Seconds per call and throughput; also the task's own laps (time to first token and the like)."""

    name = "latency"
    optional = False
    gives: ClassVar[tuple[str, ...]] = (
        "latency_median_s",
        "latency_mean_s",
        "latency_std_s",
        "latency_min_s",
        *PERCENTILES,
    )

    def measure(self, subject: Subject) -> Reading:
        work, session = subject.work, subject.loaded.session
        watched: Any = session
        kernel: dict[str, Any] = {}
        details: dict[str, Any] = {}

        def observe(call: Callable[[], Any]) -> None:
            try:
                kernel.update(watched.observe(call))
            except Unavailable as reason:
                details["observe"] = str(reason)

        between = observe if isinstance(session, Observable) else None
        device = subject.loaded.of.device
        timing = time_work(work, subject.rounds, device.synchronize, between=between, watch=device.watch)
        details |= timing_details(timing)
        if work.turns is not None:
            details["turns"] = len(work.turns)
        method = "first call after loading, with whatever it compiles or allocates"
        if work.begin is not None:
            method += "; with what has to come before it (reading a prompt)"
        found = {"first_call_s": metric("first_call_s", timing.first_call_s, method=method)}
        if timing.samples is None:
            return Reading(found, dict.fromkeys(self.gives, SWITCHED_OFF), details, kernel)
        metrics, missing = latency_metrics(timing.samples.seconds, timing.samples.iterations)
        found |= metrics
        found[work.throughput] = throughput(work.throughput, work.units, metrics["latency_median_s"])
        found |= {name: _median(name, lap) for name, lap in timing.laps.items()}
        return Reading(found, missing, details, kernel)


def timing_details(timing: Timing) -> dict[str, Any]:
    """Return what a record keeps of how the timing went."""
    found: dict[str, Any] = {
        "warm_up": asdict(timing.warm_up),
        "rounds_wall_s": timing.taken.wall_s,
        "cpu_share": timing.taken.cpu_share,
        "involuntary_switches": timing.taken.switches,
    }
    if timing.laps:
        found["laps"] = timing.laps
    blocks = timing.samples.blocks if timing.samples is not None else None
    if blocks is not None:
        found["blocks"] = [block.as_dict() for block in blocks.all]
    # The first call is one: nothing can be measured again.
    if reasons := [*neighbours.disturbances(timing.begun), *timing.slowed]:
        found["first_call_disturbed"] = reasons
    if blocks is not None and blocks.disturbed:
        found["disturbed"] = list(blocks.disturbed)
    return found
