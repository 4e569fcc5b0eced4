"""The question of a recommendation as people write it: metrics by name or short name, bounds with units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchgate.core import BenchgateError, unknown_name
from benchgate.core.durations import UNITS as SECONDS
from benchgate.core.metrics import MODELLED, TABLE, Row
from benchgate.machine.limits import UNITS as BYTES

# Short name -> metric.
SHORT: Mapping[str, str] = {
    "latency": "latency_median_s",
    "mean": "latency_mean_s",
    "p50": "latency_p50_s",
    "p90": "latency_p90_s",
    "p95": "latency_p95_s",
    "p99": "latency_p99_s",
    "ttft": "ttft_s",
    "tpot": "tpot_s",
    "throughput": "throughput_per_s",
    "prefill": "prefill_tokens_per_s",
    "decode": "decode_tokens_per_s",
    "rss": "peak_rss_bytes",
    "peak": "peak_native_bytes",
    "disk": "size_bytes",
    "size": "size_bytes",
    "weights": "size_memory_bytes",
    "ppl": "perplexity",
    "kl": "kl_mean",
    "agreement": "agreement_ap",
    "energy": "energy_j_per_call",
}
# Unit of a metric -> what may stand behind a number, and what it is in that unit.
FACTORS: Mapping[str, Mapping[str, float]] = {
    "s": SECONDS,
    "B": {f"{prefix}b": factor for prefix, factor in BYTES.items()},
    "1": {"%": 0.01},
    "J": {"j": 1.0, "mj": 1e-3, "kj": 1e3},
    "W": {"w": 1.0, "mw": 1e-3},
}
NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(\S*(?: \S+)*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """One figure of a cell: a metric, of one operation ("" for the only one); with `lost` the share of it that a cell
    loses against the reference."""

    metric: str
    operation: str = ""
    lost: bool = False

    @property
    def row(self) -> Row:
        return TABLE[self.metric]

    @property
    def unit(self) -> str:
        return "1" if self.lost else self.row.unit

    def __str__(self) -> str:
        name = f"{self.operation} {self.row.title}" if self.operation else self.row.title
        return f"{name} loss" if self.lost else name


@dataclass(frozen=True)
class Limit:
    """A bound on one figure: at most, or at least `bound`. `option` is how it was asked: `--max rss`."""

    wanted: Wanted
    bound: float
    at_most: bool
    option: str


def figure_named(text: str) -> Wanted:
    """The figure of `decode`, `size_bytes` or `prefill.latency`. Raises BenchgateError for a name that no metric has,
    and for one that is modelled, not measured."""
    operation, _, name = text.strip().rpartition(".")
    metric = SHORT.get(name, name)
    if metric not in TABLE:
        raise BenchgateError(unknown_name("metric", name, [*SHORT, *TABLE]))
    if metric in MODELLED:
        raise BenchgateError(f"metric {metric!r} is modelled, not measured, and decides nothing; name a measured one")
    return Wanted(metric, operation)


def best_of(by: str | None, most: Sequence[str], least: Sequence[str]) -> Wanted | None:
    """The figure to be best in: that of `--by NAME`, or of `--min NAME` and `--max NAME`, which have no bound.

    None where nothing says one. Raises BenchgateError for several, and for the worse direction of a metric.
    """
    asked = [("--by", by)] if by else []
    asked += [(option, text) for option, texts in (("--min", least), ("--max", most)) for text in texts if _bare(text)]
    if len(asked) > 1:
        told = " and ".join(f"{option} {name}" for option, name in asked)
        raise BenchgateError(f"{told}: the best in one figure is chosen; give the others a bound, as --max rss=500MB")
    if not asked:
        return None
    ((option, name),) = asked
    wanted = figure_named(name)
    best = {"lower": "--min", "higher": "--max"}[wanted.row.better]
    if option not in ("--by", best):
        raise BenchgateError(
            f"{option} {name}: of {wanted.metric} {wanted.row.better} is better; {best} {name} asks for the best, "
            f"{option} {name}=VALUE bounds it"
        )
    return wanted


def _bare(text: str) -> bool:
    return "=" not in text


def limits_of(most: Sequence[str], least: Sequence[str], losses: Sequence[str]) -> tuple[Limit, ...]:
    """The limits of `--max NAME=VALUE`, `--min NAME=VALUE` and `--max-loss [NAME=]SHARE`; the accuracy of a loss
    without a name is "", which is left to the cells. Raises BenchgateError for what is none. A name without a value is
    `best_of`'s."""
    bounds = (("--max", most), ("--min", least))
    found = [_limit(text, option) for option, texts in bounds for text in texts if not _bare(text)]
    return (*found, *map(_loss, losses))


def bound_of(text: str, unit: str, what: str) -> float:
    """A number with or without a unit (`500MB`, `10 ms`, `1%`, `20`) in a metric's own unit.

    Raises BenchgateError, in which it is called `what`, for anything else.
    """
    match = NUMBER.fullmatch(text)
    factors = {"": 1.0, unit.lower(): 1.0, **FACTORS.get(unit, {})}
    factor = factors.get(match[2].lower()) if match else None
    value = float(match[1]) * factor if match and factor is not None else math.inf
    if not math.isfinite(value):
        known = ", ".join(filter(None, factors))
        raise BenchgateError(f"{what}: {text!r} is no bound; write a number, with one of {known} or without a unit")
    return value


def _limit(text: str, option: str) -> Limit:
    name, _, bound = text.partition("=")
    wanted = figure_named(name)
    return Limit(
        wanted, bound_of(bound, wanted.unit, f"{option} {name}"), option == "--max", f"{option} {name.strip()}"
    )


def _loss(text: str) -> Limit:
    name, sign, share = text.rpartition("=")
    wanted = figure_named(name) if sign else Wanted("", lost=True)
    bound = bound_of(share, "1", "--max-loss")
    # A perplexity can lose more than the whole; without a sign `1` would be one percent for most.
    if bound < 0 or (bound >= 1 and "%" not in share):
        raise BenchgateError(f"--max-loss {text!r} is no share; write for example 1% or 0.01")
    if sign and wanted.row.group != "accuracy":
        raise BenchgateError(f"--max-loss {text!r}: {wanted.metric} is no accuracy; bound it with --max or --min")
    return Limit(Wanted(wanted.metric, lost=True), bound, True, f"--max-loss {name}".strip())
