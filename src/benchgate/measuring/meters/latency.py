"""Time per call: the first one alone, warm-up until steady, then pytest-benchmark's rounds and their statistics."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchgate.core import BenchgateError, Metric, Unavailable, stats
from benchgate.core.metrics import metric

if TYPE_CHECKING:
    from benchgate.measuring.run import Run

PERCENTILES = {"latency_p50_s": 0.50, "latency_p90_s": 0.90, "latency_p95_s": 0.95, "latency_p99_s": 0.99}
WARM_UP_MINIMUM = 0.010
WARM_UP_SECONDS = 2.0
WINDOW = 50
# The share by which the last calls may be slower than the good half of the warm-up and still count as steady.
STEADY = 0.10


@dataclass(frozen=True)
class WarmUp:
    """How the warm-up went; `call_s` is what a call took at its end (median of the last three).

    `steady` is None where calls are so long that there were fewer than three: too few to tell.
    """

    calls: int
    seconds: float
    steady: bool | None
    call_s: float


def warm_up(
    call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter, budget_s: float = WARM_UP_SECONDS
) -> WarmUp:
    """Call until the last three calls are as fast as the good half of the last fifty.

    At least three calls and 10 ms; at most `budget_s`, and then it was not steady. A call that takes `budget_s` alone
    was preceded by the first call, and is warm-up enough.
    """
    durations: deque[float] = deque(maxlen=WINDOW)
    calls, total = 0, 0.0
    while True:
        start = clock()
        call()
        durations.append(clock() - start)
        calls, total = calls + 1, total + durations[-1]
        recent = statistics.median(list(durations)[-3:])
        if calls < 3 and total >= budget_s:
            return WarmUp(calls, total, None, recent)
        if calls < 3 or total < WARM_UP_MINIMUM:
            continue
        steady = recent <= (1 + STEADY) * _good_half(durations)
        if steady or total >= budget_s:
            return WarmUp(calls, total, steady, recent)


def _good_half(durations: Sequence[float]) -> float:
    ordered = sorted(durations)
    return statistics.median(ordered[: max(1, len(ordered) // 2)])


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
            method="nearest rank; 99 % order statistics",
        )
    return found, missing


def _median(name: str, samples: Sequence[float]) -> Metric:
    low = high = None
    method = "median of rounds; too few rounds for an interval"
    if len(samples) >= stats.samples_needed(0.5):
        bounds = stats.percentile(samples, 0.5)
        low, high, method = bounds.low, bounds.high, "median of rounds; 99 % order statistics"
    return metric(name, statistics.median(samples), n=len(samples), low=low, high=high, method=method)


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

    def measure(self, run: Run) -> Mapping[str, Metric]:
        work, prepare = run.work, run.work.prepare or (lambda: None)
        call = _synchronized(work.call, run.device.synchronize)
        found = {"first_call_s": self._first_call(run, call, prepare)}
        warm = warm_up(_both(prepare, call))
        run.details["warm_up"] = asdict(warm)
        self._observe(run, call, prepare)
        for lap in work.laps.values():
            lap.clear()
        _check(work.check, self._rounds(run, call, warm))
        if run.benchmark.stats is None:
            run.missing |= dict.fromkeys(self.gives, "timing is switched off (--benchmark-disable, or pytest-xdist)")
            return found
        timed = run.benchmark.stats
        metrics, missing = latency_metrics(timed.stats.data, timed.iterations)
        run.missing.update(missing)
        found |= metrics
        found[work.throughput] = _throughput(work.throughput, work.units, metrics["latency_median_s"])
        found |= {name: _median(name, lap) for name, lap in work.laps.items()}
        run.details |= {"laps": {name: list(lap) for name, lap in work.laps.items()}} if work.laps else {}
        return found

    def _first_call(self, run: Run, call: Callable[[], Any], prepare: Callable[[], None]) -> Metric:
        prepare()
        start = time.perf_counter()
        output = call()
        seconds = time.perf_counter() - start
        _check(run.work.check, output)
        return metric(
            "first_call_s", seconds, method="first call after loading, with whatever it compiles or allocates"
        )

    def _observe(self, run: Run, call: Callable[[], Any], prepare: Callable[[], None]) -> None:
        """Let the session say which kernels ran, from one call that is not timed."""
        observe = getattr(run.session, "observe", None)
        if observe is None:
            return
        prepare()
        try:
            run.session.kernel = {**run.session.kernel, **observe(call)}
        except Unavailable as reason:
            run.details["observe"] = str(reason)

    def _rounds(self, run: Run, call: Callable[[], Any], warm: WarmUp) -> Any:
        """Hand the warm function over: pytest-benchmark sizes its rounds from one call, so it must not be cold."""
        before, switches = time.process_time(), _involuntary_switches()
        start = time.perf_counter()
        if run.work.prepare is None:
            output = run.benchmark(call)
        else:
            rounds = max(run.min_rounds, math.ceil(run.max_time / max(warm.call_s, 1e-9)))
            output = run.benchmark.pedantic(call, setup=run.work.prepare, rounds=rounds)
        wall = time.perf_counter() - start
        run.details["rounds_wall_s"] = wall
        run.details["cpu_share"] = round((time.process_time() - before) / wall, 3)
        run.details["involuntary_switches"] = _involuntary_switches() - switches
        return output


def _check(check: Callable[[Any], None] | None, output: Any) -> None:
    if check is not None:
        check(output)


def _synchronized(call: Callable[[], Any], synchronize: Callable[[], None] | None) -> Callable[[], Any]:
    """The call itself where it returns when the work is done; else one that waits for the device."""
    if synchronize is None:
        return call

    def waited() -> Any:
        output = call()
        synchronize()
        return output

    return waited


def _both(prepare: Callable[[], None], call: Callable[[], Any]) -> Callable[[], None]:
    def prepared() -> None:
        prepare()
        call()

    return prepared


def _throughput(name: str, units: float, median: Metric) -> Metric:
    """Units per second at the median latency; the interval is the latency's, turned round."""
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


def _involuntary_switches() -> int:
    """Times the system took the CPU away so far; high numbers in a run mean neighbours."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
