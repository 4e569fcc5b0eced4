"""`--format model-card`: the front matter that the Hugging Face hub reads (`model-index`), and a table for people.

The metadata hold the scores, each with the data that it is of (https://github.com/huggingface/hub-docs,
modelcard.md); times and sizes depend on a machine and stand in the table alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchgate.core import BenchgateError
from benchgate.core.hub import OTHER, OnHub
from benchgate.core.metrics import row_of
from benchgate.gate.comparable import data_of
from benchgate.report.escape import markdown, visible
from benchgate.report.grid import rendered
from benchgate.report.headline import task_of_records
from benchgate.report.stored_formats import grids_by_model
from benchgate.results import Record

# What the hub calls a score, where it has another name for it.
HUB_NAMES: Mapping[str, str] = {"top1": "accuracy", "top5": "top_5_accuracy", "rouge_l": "rougeL", "token_f1": "f1"}
NO_DATA = "not told"


def model_card(records: Sequence[Record], files: Sequence[str]) -> str:
    """Front matter and a section with tables. Raises BenchgateError where no record of a passed test has a figure."""
    good = [record for record in records if record.is_baseline and record.metrics]
    if not good:
        raise BenchgateError("no test of these results passed with a figure; a model card has nothing to tell")
    kept = [file for record, file in zip(records, files, strict=bool(files)) if record in good] if files else []
    index = [_entry(model, own) for model, own in _by_model(good)]
    front = [*_yaml([entry for entry in index if entry["results"]])]
    tables = rendered(grids_by_model(good, kept), "markdown", 0)
    return "".join(
        [
            "".join(f"{line}\n" for line in ("---", *front, "---", "")) if front else "",
            "## Measured with benchgate\n\n",
            *(f"{markdown(line)}\n\n" for line in dict.fromkeys(map(_machine, good))),
            tables,
        ]
    )


def _by_model(records: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    for model in dict.fromkeys(record.cell["model"] for record in records):
        yield model, [record for record in records if record.cell["model"] == model]


def _entry(model: str, records: Sequence[Record]) -> dict[str, Any]:
    """One entry of the model index: a result for each data set, a metric for each score of each cell on it."""
    task = task_of_records(records, {name: m for record in records for name, m in record.metrics.items()})
    kind = {"type": task.pipeline_tag if isinstance(task, OnHub) else OTHER}
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        for name, metric in record.metrics.items():
            if row_of(name, metric).group != "accuracy":
                continue
            dataset = _dataset(record, name)
            result = found.setdefault(json.dumps(dataset), {"task": kind, "dataset": dataset, "metrics": []})
            told = _metric(record, name)
            if told not in result["metrics"]:
                result["metrics"].append(told)
    return {"name": visible(model), "results": list(found.values())}


def _dataset(record: Record, metric: str) -> dict[str, Any]:
    data = data_of(record, metric) or {}
    name = visible(str(data.get("dataset") or data.get("name") or NO_DATA))
    args = {key: visible(str(data[key])) for key in ("n", "sha256") if data.get(key) is not None}
    return {"type": name, "name": name, **({"args": args} if args else {})}


def _metric(record: Record, name: str) -> dict[str, Any]:
    metric = record.metrics[name]
    cell = " ".join(record.cell[axis] for axis in ("scheme", "runtime", "device"))
    title = f"{row_of(name, metric).title}, {cell}"
    ends = {"low": metric.low, "high": metric.high}
    interval = {key: end for key, end in ends.items() if end is not None}
    return {
        "type": HUB_NAMES.get(name, visible(name)),
        "name": visible(title),
        "value": metric.value,
        **({"args": interval} if interval else {}),
    }


def _yaml(index: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The model index: each entry in JSON, which is YAML in one line; nothing where there is none."""
    if index:
        yield "tags:"
        yield "- benchgate"
        yield "model-index:"
        for entry in index:
            yield f"- name: {_scalar(entry['name'])}"
            yield "  results:"
            for result in entry["results"]:
                yield f"  - task: {_scalar(result['task'])}"
                yield f"    dataset: {_scalar(result['dataset'])}"
                yield "    metrics:"
                yield from (f"    - {_scalar(metric)}" for metric in result["metrics"])


def _scalar(value: Any) -> str:
    """JSON, whose text is double-quoted YAML; letters stay letters, for YAML has no pairs of surrogates."""
    return json.dumps(value, ensure_ascii=False)


def _machine(record: Record) -> str:
    facts = [f"{name} {value}" for name, value in record.machine.items() if isinstance(value, str | int | float)]
    threads = record.details.get("threads")
    return ", ".join(facts + ([f"threads {threads}"] if threads is not None else []))
