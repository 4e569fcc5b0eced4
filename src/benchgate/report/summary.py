"""The terminal summary after a run: the figures, what the gate found, what is missing and why."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from benchgate.gate.findings import Finding, how_to_confirm
from benchgate.report import marks
from benchgate.report.escape import visible
from benchgate.report.merged import Sheet, sheets
from benchgate.report.notes import notes
from benchgate.report.sheet_text import below, drawn, in_one_line
from benchgate.results import Record

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
    """Write the summary through pytest's terminal reporter, in full under -v; nothing for a run without cells."""
    if not run.records and not run.gone:
        return
    reporter.section("benchgate")
    console = Console(
        file=io.StringIO(),
        width=reporter._tw.fullwidth,
        force_terminal=reporter.hasmarkup,
        color_system="standard" if reporter.hasmarkup else None,
        highlight=False,
        markup=False,
    )
    in_full = reporter.verbosity > 0
    print_sheets(console, run.records, run.findings, in_full)
    for line in [*verdicts(run), *notes(run.records, in_full)]:
        indent = line[: len(line) - len(line.lstrip())]
        console.print(indent + visible(line), soft_wrap=True)
    reporter.write_line(console.file.getvalue().rstrip())  # type: ignore[attr-defined]


def print_sheets(
    console: Console,
    records: Sequence[Record],
    findings: Mapping[str, Sequence[Finding]],
    in_full: bool,
    files: Sequence[str] = (),
) -> None:
    """Print one table a model and device, and below them one line for the marks that are in any."""
    by_metric = {key: {finding.metric: finding for finding in found} for key, found in findings.items()}
    said: set[str] = set()
    alone = []
    for sheet in sheets(records, files):
        if len(sheet.rows) == 1 and not (in_full and sheet.others):
            alone.append(sheet)
            continue
        table = drawn(sheet, by_metric, console, in_full)
        said |= table.marks
        console.print(title(sheet, table.changes), style="bold", no_wrap=True, overflow="ellipsis")
        console.print(table.table)
        for line in below(sheet, table, in_full):
            console.print(line, style="dim")
        console.print()
    for sheet in alone:
        line, found = in_one_line(sheet, by_metric, console.width)
        said |= found
        console.print(line, no_wrap=True, overflow="ellipsis")
    if line := marks.legend(said):
        console.print(line)


def title(sheet: Sheet, changes: bool) -> str:
    """The sheet's model, device and file, the threads and the number of scored examples, and what stands beside its
    figures."""
    records = [figure.record for row in sheet.rows for figure in row.figures.values()]
    threads = dict.fromkeys(record.details.get("threads") for record in records)
    scored = dict.fromkeys(n for record in records if (n := (record.details.get("data") or {}).get("n")))
    parts = [sheet.model, sheet.device, sheet.file]
    parts += [f"{n} thread{'s' if n != 1 else ''}" for n in threads if n is not None]
    parts += [f"n={n}" for n in scored]
    if changes:
        parts.append("vs the baseline")
    elif len(sheet.rows) > 1:
        parts.append(f"vs {sheet.reference.scheme} {sheet.reference.runtime}")
    return "  ".join(visible(part) for part in parts if part)


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
