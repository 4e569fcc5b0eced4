"""`--format mlperf`: figures under the names that MLPerf inference's LoadGen gives them. Not an MLPerf result.

A cell is timed call after call, each after the last: LoadGen's SingleStream for one item a call, MultiStream for more.
Names as in `mlperf_log_summary.txt` (github.com/mlcommons/inference, loadgen/results.cc). Server and Offline are other
ways of asking, which a cell's rounds do not do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchgate.core import BenchgateError
from benchgate.core.metrics import TABLE
from benchgate.gate.disturbed import disturbance
from benchgate.report.escape import visible
from benchgate.results import Record

# Seconds and queries that LoadGen wants at least (its mlperf.conf).
LEAST_SECONDS = 600
LEAST_QUERIES = {"SingleStream": 1024, "MultiStream": 662}
# The percentile that is the scenario's metric.
DECIDES = {"SingleStream": ("90.0th percentile latency (ns)", "latency_p90_s"),
           "MultiStream": ("99.0th percentile latency (ns)", "latency_p99_s")}  # fmt: skip
OTHERS = (
    ("Min latency (ns)", "latency_min_s"),
    ("Mean latency (ns)", "latency_mean_s"),
    ("50.00 percentile latency (ns)", "latency_p50_s"),
    ("90.00 percentile latency (ns)", "latency_p90_s"),
    ("95.00 percentile latency (ns)", "latency_p95_s"),
    ("99.00 percentile latency (ns)", "latency_p99_s"),
)
TIMED = "latency_median_s"
ABOUT = (
    "Not an MLPerf result: no LoadGen, no rules of MLPerf on data, accuracy, duration or review were kept. The names "
    "are MLPerf inference's, so that figures can be laid side by side.",
    "Server (Poisson arrivals; TTFT, TPOT at P99): not measured here; `benchgate load` sends queries at given rates.",
    "Offline (all queries at once; samples per second): not measured here.",
)


def summary(records: Sequence[Record], files: Sequence[str]) -> str:
    """One block for each test with times. Raises BenchgateError where there is none."""
    timed = [record for record in records if TIMED in record.metrics]
    if not timed:
        raise BenchgateError("no times in these results; measure with `pytest benchmarks --benchmark-json=out.json`")
    blocks = ["\n".join(map(visible, ABOUT)), *("\n".join(map(visible, _block(record))) for record in timed)]
    return "\n\n".join(blocks) + "\n"


def _block(record: Record) -> Iterator[str]:
    scenario = _scenario(record)
    title, metric = DECIDES[scenario]
    params = " ".join(f"{name}={value}" for name, value in record.params.items())
    yield f"SUT name : {' '.join([*record.cell.values(), record.operation, params]).strip()}"
    yield f"Scenario : {scenario}"
    yield f"{title} : {_nanoseconds(record, metric)}"
    yield "Result is : not an MLPerf result"
    yield f"Min duration satisfied : {_duration(record)}"
    yield f"Min queries satisfied : {_at_least(record.metrics[TIMED].n, LEAST_QUERIES[scenario], 'queries')}"
    if (reason := disturbance(TABLE[TIMED], record)) is not None:
        yield f"Disturbed : {reason}"
    if not record.passed:
        yield f"Test {record.outcome} : {record.reason}"
    yield from (f"{name} : {_nanoseconds(record, other)}" for name, other in OTHERS)


def _scenario(record: Record) -> str:
    batch = record.params.get("batch", 1)
    return "SingleStream" if batch == 1 else "MultiStream"


def _nanoseconds(record: Record, metric: str) -> str:
    found = record.metrics.get(metric)
    if found is not None:
        return f"{found.value * 1e9:.0f}"
    return f"not measured: {record.missing.get(metric, 'not asked for')}"


def _duration(record: Record) -> str:
    """Rounds x their mean; unknown is said."""
    mean = record.metrics.get("latency_mean_s")
    if mean is None:
        return "not known"
    return _at_least(mean.value * mean.n, LEAST_SECONDS, "s")


def _at_least(value: float, least: float, unit: str) -> str:
    return f"{'Yes' if value >= least else 'No'} ({value:.4g} of {least:g} {unit})"
