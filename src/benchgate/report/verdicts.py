"""The gate's findings, for the terminal and as JUnit XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console

from benchgate.gate.compare import Finding
from benchgate.results import Record
from benchgate.storage.cache import explained


def print_findings(console: Console, findings: Sequence[Finding], failed: Sequence[Finding]) -> None:
    """One line for each finding that fails or is about a whole cell, then the counts and the verdict."""
    for finding in findings:
        if finding in failed or not finding.metric or finding.kind == "improved":
            line = str(finding) if not finding.metric else f"{finding.key}: {finding}"
            console.print(line, style="red" if finding in failed else None, soft_wrap=True)
    for reason, n in Counter(f.reason for f in findings if f.kind == "not compared").items():
        console.print(f"not compared: {n} metrics: {reason}", soft_wrap=True)
    counts = Counter(finding.kind for finding in findings)
    console.print(", ".join(f"{n} {kind}" for kind, n in counts.most_common()))
    console.print("FAILED" if failed else "passed", style="bold red" if failed else "bold green")


def write_junit(path: Path, current: Sequence[Record], findings: Sequence[Finding], failed: Sequence[Finding]) -> None:
    """One test case a cell (also for those that are gone), failed with the findings that fail it."""
    keys = dict.fromkeys([*(r.key for r in current), *(f.key for f in findings)])
    suite = ElementTree.Element("testsuite", name="benchgate gate", tests=str(len(keys)))
    failing = {key: [f for f in failed if f.key == key] for key in keys}
    suite.set("failures", str(sum(bool(found) for found in failing.values())))
    skipped = {r.key: r.reason for r in current if r.outcome == "skipped"}
    for key in keys:
        case = ElementTree.SubElement(suite, "testcase", classname="benchgate.gate.compare", name=key)
        if failing[key]:
            text = "\n".join(map(str, failing[key]))
            ElementTree.SubElement(case, "failure", message=str(failing[key][0])).text = text
        elif key in skipped:
            ElementTree.SubElement(case, "skipped", message=skipped[key])
    with explained(path):
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
