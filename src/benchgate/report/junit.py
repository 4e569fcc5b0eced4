"""JUnit XML, as CI systems show it: one case a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from benchgate.report.escape import visible


@dataclass(frozen=True)
class Case:
    """One verdict. `failures` are the lines that say why it failed, none where it did not; `skipped` says why it was
    not decided, None where it was; `told` stands beside it in any case."""

    name: str
    failures: tuple[str, ...] = ()
    skipped: str | None = None
    told: str = ""
    seconds: float | None = None


def as_xml(suite: str, group: str, cases: Sequence[Case]) -> str:
    """The document of one suite, whose cases all are in one group (JUnit's class)."""
    root = ElementTree.Element("testsuite", name=suite, tests=str(len(cases)))
    root.set("failures", str(sum(bool(case.failures) for case in cases)))
    root.set("skipped", str(sum(case.skipped is not None and not case.failures for case in cases)))
    for case in cases:
        element = ElementTree.SubElement(root, "testcase", classname=group, name=visible(case.name))
        if case.seconds is not None:
            element.set("time", f"{case.seconds:.3f}")
        if case.failures:
            lines = [visible(line) for line in case.failures]
            ElementTree.SubElement(element, "failure", message=lines[0]).text = "\n".join(lines)
        elif case.skipped is not None:
            ElementTree.SubElement(element, "skipped", message=visible(case.skipped))
        if case.told:
            lines = [visible(line) for line in case.told.splitlines()]
            ElementTree.SubElement(element, "system-out").text = "\n".join(lines)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ElementTree.tostring(root, encoding='unicode')}\n"
