"""The loss curve of a run: rows, a CSV file that grows while it trains, and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError
from benchgate.machine.packages import missing_packages
from benchgate.report.figures import COLOURS
from benchgate.storage import cache
from benchgate.storage.whole import write_whole


@dataclass(frozen=True)
class Row:
    """After `step` steps: the mean training loss since the last row (nats a token) and the rate of the last step.

    The dev figures only where dev was evaluated. `seconds` are those spent training, without evaluation.
    """

    step: int
    epoch: float
    loss: float
    learning_rate: float
    seconds: float
    dev_loss: float | None = None
    dev_exact_match: float | None = None


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Whole or not at all: somebody may be reading it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    with cache.explained(path):
        write_whole(path, text.getvalue())


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """Losses on the left axis (logarithmic), exact match on the right. Raises BenchgateError without matplotlib."""
    if reason := missing_packages({"matplotlib": "report"}):
        raise BenchgateError(f"the picture needs matplotlib: {reason}")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4), layout="constrained")
    losses: Any = figure.subplots()
    matches: Any = losses.twinx()
    steps = [row.step for row in rows]
    losses.plot(steps, [row.loss for row in rows], color=COLOURS[0], label="loss, training")
    seen = [row for row in rows if row.dev_loss is not None]
    at = [row.step for row in seen]
    losses.plot(at, [row.dev_loss for row in seen], color=COLOURS[5], marker="o", label="loss, dev")
    matches.plot(at, [row.dev_exact_match for row in seen], color=COLOURS[2], marker="s", label="exact match, dev")
    losses.set(yscale="log", xlabel="step", ylabel="cross-entropy [nats a token]")
    matches.set(ylim=(0, 1), ylabel="exact match")
    losses.set_title(title, loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    for axes in (losses, matches):
        axes.spines["top"].set_visible(False)
    with cache.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
