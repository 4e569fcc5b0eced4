"""The headline metrics of stored records: what every report of a model shows first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchgate.core import Metric, Task, operations, tasks
from benchgate.core.headline import HasHeadline, headline
from benchgate.core.metrics import Row, row_of
from benchgate.results import Record

# Groups of the metric table by which a cell is fast, and good.
SPEED_GROUPS, ACCURACY_GROUPS = ("time", "throughput"), ("accuracy",)


def headline_rows(records: Iterable[Record]) -> list[Row]:
    """Return the metric table's rows of the headline metrics that the records of one model have, most important
    first."""
    known = list(records)
    metrics = metrics_of(known)
    return [row_of(name, metrics[name]) for name in headline(task_of_records(known, metrics), metrics)]


def headline_names(models: Iterable[Iterable[Record]]) -> set[str]:
    """Return the names of all metrics that are a headline of one of the models, each with its records."""
    return {row.name for records in models for row in headline_rows(records)}


def metrics_of(records: Iterable[Record]) -> dict[str, Metric]:
    """Return the first figure of each metric that any record has."""
    metrics: dict[str, Metric] = {}
    for record in records:
        for name, found in record.metrics.items():
            metrics.setdefault(name, found)
    return metrics


def task_of_records(records: Sequence[Record], metrics: Mapping[str, Metric]) -> Task | None:
    """Return the task that the records name, or, for records of before they named one, the task that has their
    operations and most of whose headline was measured; None for a task that is not registered here."""
    named = [name for record in records if isinstance(name := record.details.get("task"), str)]
    if named:
        return next((task for task in tasks.values() if task.name == named[0]), None)
    done = {record.operation for record in records}
    fitting = [task for task in tasks.values() if isinstance(task, HasHeadline) and done & set(operations(task))]
    return max(fitting, key=lambda task: len(metrics.keys() & set(headline(task, metrics))), default=None)
