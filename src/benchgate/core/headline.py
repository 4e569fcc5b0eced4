"""Headline metrics: the few that one chooses between the cells of a task by, stated by the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from benchgate.core.metrics import OTHER, ROWS, row_of
from benchgate.core.protocols import Task
from benchgate.core.words import Metric

# For a task that states none, after its own first scores.
COMMON = ("latency_median_s", "size_bytes", "peak_rss_bytes", "throughput_per_s", "latency_p95_s")
SCORES = 2
# A task's own score without a row is in the group of others.
SCORED = ("accuracy", OTHER)
# The first of them that there is. Energy is measured only where somebody asked for it or the machine counts it.
ENERGY = ("energy_j_per_token", "energy_j_per_item", "energy_j_per_call", "modelled_energy_j_per_call")
OURS = frozenset(row.name for row in ROWS)


@runtime_checkable
class HasHeadline(Protocol):
    """A task that states by which metrics its cells are chosen, the most important first.

    A narrow terminal leaves out the last ones. A name that a suite did not measure does no harm::

        headline = ("decode_tokens_per_s", "perplexity", "size_bytes")
    """

    headline: Sequence[str]


def headline(task: Task | None, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """Return the names of the task's headline metrics that are in `metrics`, the most important first.

    For a task that states none, or where only others were measured, they are its first scores, the median, the size
    on disk, the peak memory, the throughput and the 95th percentile; of metrics that are none of these the first.
    What was added by somebody comes after these: energy, and what a suite's own meters and models measure.
    """
    stated: Sequence[str] = task.headline if isinstance(task, HasHeadline) else ()
    first = tuple(name for name in stated if name in metrics) or _sensible(metrics)
    return tuple(dict.fromkeys([*first, *_added(metrics)]))


def _added(metrics: Mapping[str, Metric]) -> list[str]:
    energy = [name for name in ENERGY if name in metrics]
    return [*energy[:1], *(name for name in metrics if name not in OURS)]


def _sensible(metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    scores = [name for name, found in metrics.items() if row_of(name, found).group in SCORED]
    common = [name for name in COMMON if name in metrics]
    return tuple(dict.fromkeys([*scores[:SCORES], *common])) or tuple(metrics)[:SCORES]
