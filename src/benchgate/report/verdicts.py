"""The gate's findings, for the terminal and as JUnit XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchgate.gate.baselines import Baselines
from benchgate.gate.compare import compare_sessions
from benchgate.gate.findings import Finding, failing, how_to_confirm, suspicious
from benchgate.gate.policy import parse_policy
from benchgate.gate.shelf import Shelf
from benchgate.report import junit
from benchgate.report.escape import visible
from benchgate.report.summary import not_compared
from benchgate.results import Record, ResultsError, read_records
from benchgate.storage.project import read_settings

# Findings of a metric that are shown although they fail nothing.
STYLES: dict[str, str | None] = {"improved": None, "suspicious": "yellow"}


def judge_files(baseline: Path, current: Path, strict: bool, junit: Path | None, console: Console, root: Path) -> bool:
    """True where the second results file is worse than the first. Prints the findings, and writes them as JUnit XML.

    The tolerances are those that the second one's records were measured with, else those of the project in `root`,
    whose promoted baseline counts too.
    Raises ResultsError for what cannot be read, compared or written.
    """
    policy = parse_policy(read_settings(root).get("gate", {}), "[tool.benchgate.gate] in pyproject.toml")
    measured = read_records(current)
    findings = compare_sessions(measured, Baselines(read_records(baseline), promoted=Shelf.of(root).promoted()), policy)
    failed = failing(findings, strict)
    print_findings(console, findings, failed)
    if junit:
        write_junit(junit, measured, findings, failed)
    return bool(failed)


def print_findings(console: Console, findings: Sequence[Finding], failed: Sequence[Finding]) -> None:
    """One line for each finding that fails, changed or is about a whole cell, then the counts and the verdict."""
    for finding in findings:
        if finding.kind == "not compared":
            continue
        if finding in failed or not finding.metric or finding.kind in STYLES:
            line = str(finding) if not finding.metric else f"{finding.key}: {finding}"
            style = "red" if finding in failed else STYLES.get(finding.kind)
            console.print(visible(line), style=style, soft_wrap=True)
    for line in not_compared(findings):
        console.print(visible(line), soft_wrap=True)
    if (said := how_to_confirm(findings)) is not None:
        console.print(visible(said), soft_wrap=True)
    counts = Counter(finding.kind for finding in findings)
    console.print(", ".join(f"{n} {kind}" for kind, n in counts.most_common()))
    console.print("FAILED" if failed else "passed", style="bold red" if failed else "bold green")


def write_junit(path: Path, current: Sequence[Record], findings: Sequence[Finding], failed: Sequence[Finding]) -> None:
    """One test case a cell (also for those that are gone), failed with the findings that fail it.

    Suspicious times, and how to decide them, are what the case has printed.
    """
    keys = dict.fromkeys([*(r.key for r in current), *(f.key for f in findings)])
    by_key = {key: tuple(str(f) for f in failed if f.key == key) for key in keys}
    skipped = {r.key: r.reason for r in current if r.outcome == "skipped"}
    cases = [junit.Case(key, by_key[key], skipped.get(key), _doubtful(key, findings)) for key in keys]
    try:
        path.write_text(junit.as_xml("benchgate gate", "benchgate.gate.compare", cases), encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{path}: cannot be written ({error.strerror}); give --junit another place") from error


def _doubtful(key: str, findings: Sequence[Finding]) -> str:
    """The suspicious times of a cell, and how to decide them."""
    doubtful = suspicious(f for f in findings if f.key == key)
    return "\n".join([*map(str, doubtful), how_to_confirm(doubtful) or ""]) if doubtful else ""
