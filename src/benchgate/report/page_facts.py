"""Words and small tables of a page: verdicts, what is missing and why, where and with what it was measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchgate.gate.findings import failing, how_to_confirm
from benchgate.report.grid import Grid
from benchgate.report.notes import notes
from benchgate.report.page_content import Content, plain
from benchgate.report.summary import SAID, not_compared
from benchgate.report.training import COMPILED, training_tables
from benchgate.results import Record

# Findings and cells named one by one; the rest is counted, and in the table.
MOST_NAMED = 60


def verdict(content: Content) -> tuple[str, str]:
    """Return (kind, sentence): "bad" where the last file fails or a cell did, "good" where it holds, else "open"."""
    failed = [record for record in content.suite if _ended(record)]
    counts = Counter(record.outcome for record in content.suite)
    trials = len(content.records) - len(content.suite)
    words = [f"{n} {outcome}" for outcome, n in counts.most_common()] + [f"{trials} trials of a limit"] * bool(trials)
    told = ", ".join(words) or "no test"
    if content.current is None:
        alone = "Nothing to compare with: name an older file of these tests before this one."
        return ("bad", f"Failed. {told}. {alone}") if failed else ("open", f"Open. {told}. {alone}")
    worse = failing(content.findings)
    against = ", ".join(results.name for results in content.earlier)
    last = content.current.name
    undecided = [f for f in content.findings if f.fails(strict=True)]
    if worse:
        cells = len({finding.key for finding in worse})
        return "bad", f"Worse. {last} is worse than {against}: {len(worse)} findings in {cells} cells. {told}."
    if failed:
        return "bad", f"Failed. {len(failed)} cells did not pass. {told}."
    if undecided:
        return (
            "open",
            f"Open. {last} is not known to be worse than {against}; {len(undecided)} findings are open. {told}.",
        )
    return "good", f"Good. {last} is not worse than {against}. {told}."


def findings(content: Content) -> list[tuple[str, list[str]]]:
    """Return (heading, lines) for each kind of finding that a person has to see, those that weigh most first."""
    found: list[tuple[str, list[str]]] = []
    for kind in SAID:
        own = [f for f in content.findings if f.kind == kind and not (kind == "new" and f.metric)]
        lines = list(not_compared(own)) if kind == "not compared" else [
            str(f) if not f.metric else f"{f.key}: {f}" for f in own
        ]  # fmt: skip
        if lines:
            found.append((f"{kind} ({len(own)})", _limited(lines)))
    if (said := how_to_confirm(content.findings)) is not None:
        found.append(("next", [said]))
    failed = [f"{r.key}: {r.outcome}{': ' + r.reason if r.reason else ''}" for r in content.suite if _ended(r)]
    if failed:
        found.append((f"did not pass ({len(failed)})", _limited(failed)))
    return found


def _ended(record: Record) -> bool:
    return not record.passed and record.outcome != "skipped"


def _limited(lines: Sequence[str]) -> list[str]:
    left = len(lines) - MOST_NAMED
    return [*lines[:MOST_NAMED], *([f"and {left} more: see the table"] if left > 0 else [])]


def absent(content: Content) -> list[str]:
    """Return what was skipped, is missing, undecidable, disturbed or unsteady, each reason once."""
    return list(notes(content.records))


def skipped(content: Content) -> Grid | None:
    """The skipped cells with their reasons; None for none."""
    rows = tuple((r.key, r.reason) for r in content.records if r.outcome == "skipped")
    return Grid(f"skipped: {len(rows)}", ("test", "reason"), rows) if rows else None


def training(records: Sequence[Record]) -> list[Grid]:
    """The table of training steps; none where nothing was trained."""
    return training_tables(records) if any(r.cell["runtime"] in COMPILED for r in records) else []


def surroundings(content: Content) -> list[Grid]:
    """Machines, packages, kernels and data, each once with how many cells it holds for."""
    shapes: Mapping[str, Callable[[Record], Any]] = {
        "machines": lambda record: record.machine,
        "packages": lambda record: record.packages,
        "kernels": lambda record: {n: v for n, v in record.kernel.items() if n != "operators"},
        "data": lambda record: record.details.get("data"),
    }
    return [grid for title, of in shapes.items() if (grid := _distinct(title, of, content.records)) is not None]


def _distinct(title: str, of: Callable[[Record], Any], records: Iterable[Record]) -> Grid | None:
    found: dict[str, list[Record]] = {}
    values: dict[str, Any] = {}
    for record in records:
        value = of(record)
        if value:
            name = json.dumps(value, sort_keys=True, default=str)
            values[name] = value
            found.setdefault(name, []).append(record)
    rows = tuple((plain(values[name]), len(own), _whose(own)) for name, own in found.items())
    return Grid(title, (title, "cells", "of"), rows) if rows else None


def _whose(records: Sequence[Record]) -> str:
    """The models, schemes and runtimes, a few of each."""
    words = []
    for axis in ("model", "scheme", "runtime"):
        names = list(dict.fromkeys(record.cell[axis] for record in records))
        words.append(", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else ""))
    return "; ".join(words)
