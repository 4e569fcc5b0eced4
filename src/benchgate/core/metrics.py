"""The metric table: one row a metric, read by the gate, the tables, the plots and the docs.

`tolerance` is the relative change for the worse that the gate lets pass (None: shown, never gated). `absolute` marks
tolerances that are differences, not ratios (accuracies near 0 would make ratios meaningless): where a row does not say,
those of accuracies that are shares, higher is better, are. `slack` is a difference
that never counts, however small the baseline is: rounding is no regression of a KL of exactly 0. `signed` marks figures
that may be below 0. `group` decides what must be equal before two figures are compared: see gate/comparable.py. Groups
are open; one that benchgate does not know is compared as "other" is.
`noise` (relative) and `suspect` are in the rows of a record only: the change that noise of the machine explains, that
a worse figure may be no more than a worse hour: see gate/stored_times.py.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchgate.core.errors import BenchgateError, DuplicateName, UnknownName, unknown_name
from benchgate.core.words import Better, Metric


@dataclass(frozen=True)
class Row:
    """One metric: its unit, direction, group and column title, and what the gate lets pass.

    Args:
        name: As `Task.score` and `Reading.metrics` have it.
        unit: SI where there is one; "1" for a share.
        better: "lower" or "higher".
        group: One of GROUPS, or a name of your own.
        title: Of the column in tables.
        tolerance: The change for the worse that the gate lets pass; None is shown and never gated.
        absolute: The tolerance is a difference (0.02 is two points), not a share of the baseline (0.02 is 2 %). Left
            out: a difference where the group is "accuracy", the unit "1" and higher is better.
        slack, signed: See the module.

    Example::

        benchgate.metric_row(Row("recall", "1", "higher", "accuracy", "recall", 0.02))  # two points
    """

    name: str
    unit: str
    better: Better
    group: str
    title: str
    tolerance: float | None = None
    # None is never seen from outside: it is decided when the row is made.
    absolute: bool = None  # type: ignore[assignment]
    slack: float = 0.0
    signed: bool = False
    noise: float = 0.0
    suspect: bool = False

    def __post_init__(self) -> None:
        if self.absolute is None:
            share = (self.group, self.unit, self.better) == ("accuracy", "1", "higher")
            object.__setattr__(self, "absolute", share)


# Times: the median gates (one slow round must not fail a merge), the rest is for the reader. 20 % is about the
# least that stored wall times of a shared machine can bear; the docs tell how to tighten it on a quiet one.
TIME_TOLERANCE = 0.20
ACCURACY_TOLERANCE = 0.01
# Above the rounding of single precision, which leaves a model compared with itself near 0 nat and on either side of
# it, and below the 4e-6 nat that the mildest compression in docs/language-models.md costs.
KL_SLACK = 1e-6
# Python takes memory for its objects by arenas of 1 MiB (Objects/obmalloc.c), one sooner or later as others are full.
ARENA_SLACK = 2.0 * 2**20


def _times(group: str, names: Mapping[str, str]) -> list[Row]:
    return [Row(name, "s", "lower", group, title) for name, title in names.items()]


def _accuracies(names: Mapping[str, str]) -> list[Row]:
    return [Row(name, "1", "higher", "accuracy", title, ACCURACY_TOLERANCE) for name, title in names.items()]


ROWS = [
    Row("latency_median_s", "s", "lower", "time", "median", TIME_TOLERANCE),
    *_times(
        "time",
        {
            "latency_mean_s": "mean",
            "latency_std_s": "std",
            "latency_min_s": "min",
            "latency_p50_s": "P50",
            "latency_p90_s": "P90",
            "latency_p95_s": "P95",
            "latency_p99_s": "P99",
            "first_call_s": "first call",
            "cpu_time_s": "CPU time",
        },
    ),
    Row("ttft_s", "s", "lower", "time", "TTFT", TIME_TOLERANCE),
    Row("tpot_s", "s", "lower", "time", "TPOT", TIME_TOLERANCE),
    Row("preprocess_s", "s", "lower", "time", "preprocess", 2 * TIME_TOLERANCE),
    Row("inference_s", "s", "lower", "time", "inference", TIME_TOLERANCE),
    Row("postprocess_s", "s", "lower", "time", "postprocess", 2 * TIME_TOLERANCE),
    Row("forward_s", "s", "lower", "time", "forward", TIME_TOLERANCE),
    Row("backward_s", "s", "lower", "time", "backward", TIME_TOLERANCE),
    Row("forward_backward_s", "s", "lower", "time", "fwd+bwd", TIME_TOLERANCE),
    Row("step_s", "s", "lower", "time", "step", TIME_TOLERANCE),
    Row("update_s", "s", "lower", "time", "update", TIME_TOLERANCE),
    Row("overhead_s", "s", "lower", "time", "overhead", signed=True),
    Row("throughput_per_s", "1/s", "higher", "throughput", "items/s", TIME_TOLERANCE),
    Row("prefill_tokens_per_s", "tokens/s", "higher", "throughput", "prefill tok/s", TIME_TOLERANCE),
    Row("decode_tokens_per_s", "tokens/s", "higher", "throughput", "decode tok/s", TIME_TOLERANCE),
    Row("training_tokens_per_s", "tokens/s", "higher", "throughput", "train tok/s", TIME_TOLERANCE),
    Row("flops_forward", "FLOP", "lower", "throughput", "FLOP fwd"),
    Row("flops_forward_backward", "FLOP", "lower", "throughput", "FLOP fwd+bwd"),
    Row("flops_per_call", "FLOP", "lower", "throughput", "FLOP a call"),
    Row("flops_per_s", "FLOP/s", "higher", "throughput", "FLOP/s"),
    Row("matmul_peak_flops_per_s", "FLOP/s", "higher", "throughput", "matmul peak"),
    Row("mfu", "1", "higher", "throughput", "MFU"),
    *_accuracies(
        {
            "top1": "top-1",
            "top5": "top-5",
            "top10": "top-10",
            "accuracy": "accuracy",
            "ap": "AP",
            "ap50": "AP50",
            "ap75": "AP75",
            "ap_small": "AP small",
            "ap_medium": "AP medium",
            "ap_large": "AP large",
            "ar": "AR",
            "agreement_ap": "agreement AP",
            "agreement_ap50": "agreement AP50",
            "agreement_top1": "agreement top-1",
            "exact_match": "exact match",
            "token_f1": "token F1",
        }
    ),
    Row("perplexity", "1", "lower", "accuracy", "perplexity", 0.02),
    Row("kl_mean", "nat", "lower", "accuracy", "KL mean", 0.10, slack=KL_SLACK, signed=True),
    Row("kl_p99", "nat", "lower", "accuracy", "KL P99", 0.20, slack=10 * KL_SLACK, signed=True),
    Row("log_perplexity_delta", "nat", "lower", "accuracy", "log ppl diff", 0.02, absolute=True, signed=True),
    Row("chrf", "1", "higher", "accuracy", "chrF", 0.01, absolute=False),
    Row("bleu", "1", "higher", "accuracy", "BLEU", 0.01, absolute=False),
    Row("rouge_l", "1", "higher", "accuracy", "ROUGE-L", ACCURACY_TOLERANCE),
    Row("exact_match_copy", "1", "higher", "accuracy", "EM of copying"),
    Row("images_excluded", "images", "lower", "accuracy", "excluded", 0.0, absolute=True),
    Row("peak_native_bytes", "B", "lower", "memory", "peak alloc", 0.05, slack=ARENA_SLACK),
    Row("peak_rss_bytes", "B", "lower", "memory", "peak RSS", 0.10),
    Row("peak_private_bytes", "B", "lower", "memory", "peak private"),
    Row("shared_bytes", "B", "lower", "memory", "shared"),
    Row("file_backed_bytes", "B", "lower", "memory", "file-backed"),
    Row("swap_bytes", "B", "lower", "memory", "swapped"),
    Row("minor_faults", "faults", "lower", "memory", "minor faults"),
    Row("major_faults", "faults", "lower", "memory", "major faults"),
    Row("peak_device_bytes", "B", "lower", "memory", "peak device", 0.05),
    Row("peak_parameters_bytes", "B", "lower", "memory", "parameters", 0.05),
    Row("peak_gradients_bytes", "B", "lower", "memory", "gradients", 0.05),
    Row("peak_optimizer_bytes", "B", "lower", "memory", "optimizer", 0.05),
    Row("peak_activations_bytes", "B", "lower", "memory", "activations", 0.05),
    Row("peak_step_bytes", "B", "lower", "memory", "step", 0.05),
    Row("size_bytes", "B", "lower", "size", "disk", 0.01),
    Row("size_memory_bytes", "B", "lower", "size", "weights", 0.01),
    Row("bits_per_weight", "bit", "lower", "size", "bits/weight", 0.01),
    Row("packed_bytes", "B", "lower", "size", "packed (estimate)"),
    Row("sparsity", "1", "higher", "size", "zeros"),
    Row("energy_j_per_call", "J", "lower", "energy", "energy", TIME_TOLERANCE),
    Row("energy_j_per_token", "J", "lower", "energy", "J/token"),
    Row("energy_j_per_item", "J", "lower", "energy", "J/item"),
    Row("power_w", "W", "lower", "energy", "power"),
    Row("power_idle_w", "W", "lower", "energy", "idle power"),
    Row("modelled_energy_j_per_call", "J", "lower", "energy", "energy modelled"),
]
# Figures that are computed from an assumption. No tolerance is taken for them: they decide nothing.
MODELLED = frozenset({"modelled_energy_j_per_call"})

TABLE: dict[str, Row] = {row.name: row for row in ROWS}
# The group of metrics without a row: nothing is known of them, so that all must be equal before two are compared.
OTHER = "other"
GROUPS = ("time", "throughput", "accuracy", "memory", "size", "energy", OTHER)
# A new group that resembles a known one so much is a typing error.
RESEMBLES = 0.8


def group_order(group: str) -> tuple[int, str]:
    """Return a key that sorts groups: those of GROUPS in their order, then others by name."""
    return (GROUPS.index(group), "") if group in GROUPS else (len(GROUPS), group)


def in_table_order(rows: Iterable[Row]) -> list[Row]:
    """Return the rows by group, within a group as they stand in TABLE, those without a row of it last."""
    order = {name: position for position, name in enumerate(TABLE)}
    return sorted(rows, key=lambda row: (group_order(row.group), order.get(row.name, len(order))))


def add_row(row: Row) -> Row:
    """Return `row` after giving a suite's own metric it: a tolerance, so that it is gated, a column title, a unit.

    Called at import, beside the task that returns the metric.

    Args:
        row: The row; its group may be a new one.

    Returns:
        The same row.

    Raises:
        DuplicateName: For a name that has another row.
        BenchgateError: For something else than a Row, no group or a misspelt one, or a tolerance that never fails.

    Example::

        benchgate.metric_row(benchgate.Row("spam_recall", "1", "higher", "accuracy", "recall", 0.01))
    """
    if not isinstance(row, Row):
        raise BenchgateError(f"metric_row takes a Row, got {row!r}; write metric_row(Row(name, unit, better, ...))")
    if TABLE.get(row.name, row) != row:
        raise DuplicateName(f"metric {row.name!r} has a row already: {TABLE[row.name]}; choose another name")
    if not row.group:
        raise BenchgateError(f"metric {row.name!r} has no group; choose of {', '.join(GROUPS)}, or make one")
    if row.group not in GROUPS and difflib.get_close_matches(row.group, GROUPS, cutoff=RESEMBLES):
        raise BenchgateError(f"metric {row.name!r}: {unknown_name('group', row.group, GROUPS)}")
    if row.tolerance is not None and (reason := bad_tolerance(row, row.tolerance)):
        raise BenchgateError(f"metric {row.name!r}: {reason}")
    TABLE[row.name] = row
    return row


def bad_tolerance(row: Row, value: object) -> str | None:
    """The reason why `value` is no tolerance of this metric, or None."""
    if row.name in MODELLED:
        return "it is modelled, not measured, and is never gated; take the line out"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return f"a tolerance is a number >= 0 (0.1 = 10 %), got {value!r}"
    if row.better == "higher" and not row.absolute and value >= 1:
        return f"higher is better: it can lose 100 % at most, so that a tolerance >= 1 never fails, got {value!r}"
    return None


def row_of(name: str, metric: Metric) -> Row:
    """The table's row, or for a name that has none one made of what the metric says of itself, in the group "other":
    shown, compared for information, never gated."""
    known = TABLE.get(name)
    if known is not None:
        return known
    return Row(name, metric.unit, metric.better, OTHER, name.replace("_", " "), signed=True)


def refusal(name: str, metric: Metric, row: Row | None = None) -> str | None:
    """The reason why a figure must not be kept, or None: NaN, infinity, a time or size below 0.

    No comparison with NaN ever fails, and a negative time is better than any other. `row` is the metric's own row where
    this process does not know it.
    """
    numbers = {"": metric.value, "low ": metric.low, "high ": metric.high}
    for bound, number in numbers.items():
        if number is not None and not math.isfinite(number):
            return f"{name} {bound}is {number}"
    if not all(map(math.isfinite, (*metric.examples, *metric.resamples))):
        return f"{name} has single results that are not finite"
    row = row or row_of(name, metric)
    if metric.value < 0 and not row.signed:
        return f"{name} is {metric.value:g} {metric.unit}, which cannot be below 0"
    return None


def metric(name: str, value: float, **fields: object) -> Metric:
    """Return a Metric whose unit and direction come from the table.

    Args:
        name: Of a row.
        value: In the row's unit.
        fields: The rest of a Metric: `n=` examples, `low=` and `high=` of its interval, `method=`, `examples=`.

    Raises:
        UnknownName: For a name that has no row, with those that resemble it.

    Example::

        benchgate.metric("top1", hits / n, n=n)
    """
    if name not in TABLE:
        near = difflib.get_close_matches(name, TABLE, n=3)
        raise UnknownName(
            f"metric {name!r} has no row{'; did you mean ' + ' or '.join(near) + '?' if near else ''}; give it one by "
            'benchgate.metric_row(Row(name, unit, better, group)), or return Metric(value, unit, "higher")'
        )
    row = TABLE[name]
    return Metric(value=float(value), unit=row.unit, better=row.better, **fields)  # type: ignore[arg-type]
