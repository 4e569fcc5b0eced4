"""The terminal summary after a run: the figures, what the gate found, what is missing and why."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from benchgate.gate.disturbed import MARK, told
from benchgate.gate.findings import Finding, how_to_confirm
from benchgate.report.escape import visible
from benchgate.report.tables import metric_tables
from benchgate.results import Record

# Names of layers that a note shows.
LAYERS = 5
SAID = (
    "new", "gone", "regressed", "drifted", "no longer measured", "suspicious", "improved", "inconclusive",
    "not compared",
)  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """All that the summary shows of a run: its records, and, where it was `compared`, the findings by key."""

    records: Sequence[Record]
    findings: Mapping[str, Sequence[Finding]]
    gone: Sequence[Finding]
    compared: bool


def print_summary(reporter: Any, run: Summary) -> None:
    """Write the summary through pytest's terminal reporter; nothing for a run without cells."""
    if not run.records and not run.gone:
        return
    reporter.section("benchgate")
    width = reporter._tw.fullwidth
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=reporter.hasmarkup,
        color_system="standard" if reporter.hasmarkup else None,
        highlight=False,
        markup=False,
    )
    for table in metric_tables(run.records, run.findings, width):
        console.print(table)
        console.print()
    for line in [*verdicts(run), *notes(run.records)]:
        indent = line[: len(line) - len(line.lstrip())]
        console.print(indent + visible(line), soft_wrap=True)
    reporter.write_line(console.file.getvalue().rstrip())  # type: ignore[attr-defined]


def verdicts(run: Summary) -> Iterator[str]:
    """The gate's findings: one line each for what fails or changed, counts for the rest."""
    if not run.compared:
        return
    findings = [*(f for found in run.findings.values() for f in found), *run.gone]
    counts = Counter(f.kind for f in findings)
    yield "gate: " + (", ".join(f"{n} {kind}" for kind, n in counts.most_common()) or "nothing to compare")
    for kind in SAID:
        yield from _lines(kind, [f for f in findings if f.kind == kind])
    if (line := how_to_confirm(findings)) is not None:
        yield f"  {line}"


def _lines(kind: str, findings: list[Finding]) -> Iterator[str]:
    if kind == "not compared":
        yield from (f"  {line}" for line in not_compared(findings))
        return
    # A metric that a baseline did not have yet is no news beside its cell's figures.
    for finding in findings:
        if not (kind == "new" and finding.metric):
            yield f"  {finding}" if not finding.metric else f"  {finding.key}: {finding}"


def not_compared(findings: Iterable[Finding]) -> Iterator[str]:
    """One line for each reason why something was not compared, with how much it holds for."""
    for (reason, whole), n in Counter((f.reason, not f.metric) for f in findings if f.kind == "not compared").items():
        what = f"{n} cell{'s' if n > 1 else ''}" if whole else f"{n} metrics"
        yield f"not compared: {what}: {reason}"


def notes(records: Iterable[Record]) -> Iterator[str]:
    """Skips, failures, unsteady warm-ups and missing metrics, each reason once with how many cells it holds for."""
    records = list(records)
    for outcome in ("skipped", "oom", "crash", "error", "timeout"):
        for reason, n in Counter(r.reason for r in records if r.outcome == outcome).items():
            yield f"{outcome}: {n} cell{'s' if n > 1 else ''}: {reason}"
    missing = Counter((name, _general(reason)) for r in records for name, reason in r.missing.items())
    by_reason: dict[str, list[str]] = {}
    for (name, reason), n in missing.items():
        by_reason.setdefault(reason, []).append(f"{name} ({n})")
    for reason, names in by_reason.items():
        yield f"missing: {', '.join(names)}: {reason}"
    for record in records:
        for verdict in record.details.get("floors", ()):
            if verdict["answer"] == "undecidable":
                yield f"undecidable: {'-'.join(record.cell.values())}: {verdict['text']}"
    yield from dict.fromkeys(filter(None, map(_left_in_float, records)))
    yield from _disturbed(records)
    unsteady = [r for r in records if r.details.get("warm_up", {}).get("steady") is False]
    if unsteady:
        yield (
            f"unsteady: {len(unsteady)} cell{'s' if len(unsteady) > 1 else ''} still changed speed after warm-up; "
            "`benchgate doctor` tells what makes this machine noisy"
        )


def _left_in_float(record: Record) -> str | None:
    """The layers that the cell's compression left alone, or None."""
    names = record.kernel.get("left_in_float")
    if not isinstance(names, list) or not names:
        return None
    shown = ", ".join(map(str, names[:LAYERS])) + (f" and {len(names) - LAYERS} more" if len(names) > LAYERS else "")
    return f"{record.kernel.get('quantized')}: {'-'.join(record.cell.values())}; in full precision: {shown}"


def _disturbed(records: Sequence[Record]) -> Iterator[str]:
    marked = {r.key: text for r in records if (text := told(r.details.get("disturbed"))) is not None}
    if marked:
        cells = f"{len(marked)} cell{'s' if len(marked) > 1 else ''}"
        yield f"disturbed ({MARK}): {cells}, by neighbours on this machine; no baseline, and nothing is decided by them"
        yield from (f"  {key}: {text}" for key, text in marked.items())


def _general(reason: str) -> str:
    """A reason without this cell's own number of samples, so that one line holds for all."""
    return re.sub(r"^n=\d+: ", "too few rounds (--benchmark-max-time=60 gets more): ", reason)
