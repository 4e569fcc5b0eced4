"""The answers of a run against another version, in the terminal: what weighs most first, the unchanged counted."""

from __future__ import annotations

from typing import Any

from benchgate.gate.side_by_side.answers import GateAnswers

# Of these one line tells all of them.
COUNTED = ("unchanged", "code not exercised")
COLOURS = {"regressed": "red", "broken": "red", "improved": "green", "same": "green"}


def print_answers(terminal: Any, answers: GateAnswers, strict: bool) -> None:
    terminal.section(f"gate against {answers.baseline}", sep="-")
    for kind, count in answers.counts().items():
        cells = [cell for cell in answers.cells if cell.kind == kind]
        if kind in COUNTED:
            reasons = dict.fromkeys(verdict.reason for cell in cells for verdict in cell.verdicts.values())
            terminal.write_line(f"{count} {kind}: {'; '.join(reasons)}")
            continue
        for cell in cells:
            colour = {COLOURS.get(kind, "yellow"): True}
            terminal.write_line(f"{cell.test}: {cell}", **colour)
    for test in answers.gone:
        terminal.write_line(f"{test}: gone{' (fails: --gate-strict)' if strict else ''}", yellow=True)
    for note in answers.notes:
        terminal.write_line(f"note: {note}", yellow=True)
    counts = ", ".join(f"{count} {kind}" for kind, count in answers.counts().items()) or "no cell"
    load = "" if answers.load is None else f", load {answers.load:.1f} when it began"
    terminal.write_line(f"{answers.candidate} against {answers.baseline}: {counts} ({answers.seconds:.0f} s{load})")
