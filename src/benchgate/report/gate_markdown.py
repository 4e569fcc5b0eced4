"""The answers of a gate run as Markdown, for a job's summary and as a comment: what got worse first.

Every text in it may be a stranger's: a test's name, a branch, an error. None of them makes a table or a mention that
somebody is notified of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from benchgate.gate.side_by_side.answers import KINDS, TIME, CellAnswer, GateAnswers
from benchgate.gate.side_by_side.verdict import Kind, Verdict
from benchgate.report import escape

CHANGED: tuple[Kind, ...] = ("regressed", "broken", "improved")
UNDECIDED: tuple[Kind, ...] = ("inconclusive", "not comparable")
# A comment may have 65,536 characters on GitHub. What is left off is counted, and the JSON has all.
TABLE_ROOM, FOLDED_ROOM, TEXT_ROOM = 40_000, 15_000, 300
# `@name` notifies somebody and `#1` leaves a trace in another thread, but not where the sign is code.
TRACES = re.compile(r"[@#](?=\w)")


def changed(answers: GateAnswers, strict: bool = False) -> bool:
    """True where a comment is worth writing: something changed, broke or is gone, or the run fails."""
    return any(cell.kind in CHANGED for cell in answers.cells) or bool(answers.gone) or answers.fails(strict)


def as_markdown(answers: GateAnswers, strict: bool = False) -> str:
    """The whole text. Its first line says what changed, or that nothing did."""
    return "\n".join(_lines(answers, strict)) + "\n"


def headline(answers: GateAnswers) -> str:
    """One line of text: how many cells are of each kind. "Nothing changed" only where all of them were decided."""
    cells = _counted(len(answers.cells), "cell")
    told = [f"{n} {kind}" for kind, n in answers.counts().items() if kind in (*CHANGED, *UNDECIDED)]
    parts = [f"{', '.join(told)} of {cells}"] if told else []
    parts += [f"{_counted(len(answers.gone), 'test')} gone"] if answers.gone else []
    if changed(answers):
        return f"benchgate: {'; '.join(parts)}"
    if told:
        return f"benchgate: no change found, {parts[0]}"
    return f"benchgate: nothing changed in {cells}" if answers.cells else "benchgate: no cell was measured"


def rows(cells: Sequence[CellAnswer]) -> list[tuple[CellAnswer, str, Verdict]]:
    """Every verdict with its cell and metric, what weighs most first."""
    found = [(cell, name, verdict) for cell in cells for name, verdict in cell.verdicts.items()]
    return sorted(found, key=lambda row: KINDS.index(row[2].kind))


def _lines(answers: GateAnswers, strict: bool) -> Iterator[str]:
    yield f"### {headline(answers)}"
    yield ""
    failed = "This fails the run. " if answers.fails(strict) else ""
    yield f"{failed}{_code(answers.candidate)} against {_code(answers.baseline)}, {answers.seconds:.0f} s."
    ordered = rows(answers.cells)
    loud = [row for row in ordered if row[2].kind in (*CHANGED, *UNDECIDED)]
    if loud:
        yield ""
        yield "| verdict | test | metric | change | pairs | what changed, why |"
        yield "|---|---|---|---:|---:|---|"
        yield from within(TABLE_ROOM, [_row(*row, strict) for row in loud], "| {} more are in the JSON | | | | | |")
    for title, texts in (("Gone", [_code(test) for test in answers.gone]), ("Notes", [*map(_prose, answers.notes)])):
        if texts:
            yield f"\n{title}:\n"
            yield from within(FOLDED_ROOM // 3, [f"- {text}" for text in texts], "- {} more are in the JSON")
    yield from _folded(answers, [row for row in ordered if row not in loud])


def _row(cell: CellAnswer, metric: str, verdict: Verdict, strict: bool) -> str:
    kind = f"**{verdict.kind}**" if verdict.fails(strict) else verdict.kind
    why = [verdict.reason, verdict.decide, *verdict.notes]
    about = [*map(_code, cell.changed), *(_prose(text) for text in why if text)]
    change = _prose(str(verdict.change)) if verdict.change else "-"
    pairs = str(verdict.pairs) if verdict.pairs else "-"
    return f"| {kind} | {_code(cell.test)} | {_code(metric)} | {change} | {pairs} | {'; '.join(about) or '-'} |"


def _folded(answers: GateAnswers, quiet: Sequence[tuple[CellAnswer, str, Verdict]]) -> Iterator[str]:
    if quiet:
        yield f"\n<details><summary>{_counted(len(quiet), 'verdict')} without a change</summary>\n"
        lines = [
            f"- {_code(cell.test)}{'' if name == TIME else ' ' + _code(name)}: {_prose(str(verdict))}"
            for cell, name, verdict in quiet
        ]
        yield from within(FOLDED_ROOM, lines, "- {} more are in the JSON")
        yield "\n</details>"
    about = dict(answers.environment) | ({} if answers.load is None else {"load at the start": f"{answers.load:.1f}"})
    if about:
        yield "\n<details><summary>Where it was measured</summary>\n"
        lines = [f"- {_prose(name)}: {_code(value)}" for name, value in about.items()]
        yield from within(FOLDED_ROOM // 3, lines, "- {} more are in the JSON")
        yield "\n</details>"


def within(room: int, lines: Sequence[str], more: str) -> Iterator[str]:
    """As many lines as `room` characters hold, then `more` with the number of those that are left off."""
    for index, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            yield more.format(len(lines) - index)
            return
        yield line


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _code(text: str) -> str:
    """A name in code type, where no mention is looked for. Backquotes would show the signs that escape a name."""
    return f"<code>{escape.markdown(_short(text))}</code>"


def _prose(text: str) -> str:
    return TRACES.sub(r"<code>\g<0></code>", escape.markdown(_short(text)))


def _short(text: str) -> str:
    return text if len(text) <= TEXT_ROOM else f"{text[:TEXT_ROOM]}..."
