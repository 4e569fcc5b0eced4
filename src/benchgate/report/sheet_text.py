"""A sheet as a table that fits the terminal: as many of its columns as the width takes, the most important ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from benchgate.core.metrics import Row, in_table_order
from benchgate.core.units import factor, human, percent, scale, three_digits
from benchgate.gate.findings import CHANGED, Finding
from benchgate.report import marks
from benchgate.report.escape import visible
from benchgate.report.grid import NAMES
from benchgate.report.merged import Figure, Merged, Sheet
from benchgate.report.tables import STYLES

# Figures that differ by more than this have units of their own.
ONE_UNIT = 1e4
NARROWEST_NAME = 8
WIDEST = 10_000

Findings = Mapping[str, Mapping[str, Finding]]


@dataclass(frozen=True)
class Drawn:
    """A table, the columns that it has no room for, those that did not change and the marks that are in it.

    `changes` says that beside its figures stand their changes against a baseline, not how they are to the reference's.
    """

    table: Table
    without: Sequence[Row]
    unchanged: Sequence[Row]
    marks: set[str]
    changes: bool


@dataclass(frozen=True)
class _Entry:
    """One figure as text: the value, its marks, what stands beside it."""

    value: str
    marks: str = ""
    beside: str = ""
    style: str = ""
    bold: bool = False


@dataclass(frozen=True)
class _Column:
    """A column as text: `unit` is that of all its figures, "" where each has its own; an entry for each row."""

    row: Row
    unit: str
    entries: Sequence[_Entry | None]


def drawn(sheet: Sheet, findings: Findings, console: Console, every_row: bool = False) -> Drawn:
    """The sheet's table for the console's width, `every_row` with what a short view folds away.

    With findings that say that something changed, the columns that did not are folded away.
    """
    if every_row:
        sheet = replace(sheet, rows=[*sheet.rows, *sheet.others], others=())
    changed = [column for column in sheet.columns if any(_changed(row, column, findings) for row in sheet.rows)]
    columns = changed or list(sheet.columns)
    unchanged = [column for column in sheet.columns if column not in columns]
    texts = {column.name: _column(sheet, column, findings if changed else None) for column in columns}
    beaten = marks.beaten(sheet)
    unlimited = console.options.update(max_width=WIDEST)
    for n in range(len(columns), -1, -1):
        shown = [texts[column.name] for column in in_table_order(columns[:n])]
        table = _table(sheet, shown, beaten, console.width)
        if Measurement.get(console, unlimited, table).maximum <= console.width or n == 0:
            break
    return Drawn(table, columns[n:], unchanged, _marks(shown, beaten), bool(changed))


def _marks(columns: Sequence[_Column], beaten: set[int]) -> set[str]:
    entries = [entry for column in columns for entry in column.entries if entry]
    return {mark for entry in entries for mark in (*entry.marks, entry.beside)} | ({marks.BEATEN} if beaten else set())


def _changed(row: Merged, column: Row, findings: Findings) -> bool:
    finding = _finding(row.figures.get(column.name), findings)
    return finding is not None and finding.kind in CHANGED


def _finding(figure: Figure | None, findings: Findings) -> Finding | None:
    return None if figure is None else findings.get(figure.record.key, {}).get(figure.row.name)


def _table(sheet: Sheet, columns: Sequence[_Column], beaten: set[int], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    longest = max(NARROWEST_NAME, int(width * NAMES))
    margin = "  " if beaten else ""
    table.add_column(f"{margin}scheme runtime", max_width=longest, no_wrap=True, overflow="ellipsis", vertical="bottom")
    texts = [_texts(column.entries) for column in columns]
    for column, found in zip(columns, texts, strict=True):
        title = _title(column.row, column.unit, max(cell_len(text.plain) for text in found))
        table.add_column(title, justify="right", no_wrap=True)
    for i, row in enumerate(sheet.rows):
        before = f"{marks.BEATEN} " if i in beaten else margin
        table.add_row(before + _name(row), *(found[i] for found in texts), style="dim" if i in beaten else None)
    return table


def _name(row: Merged) -> str:
    return visible(" ".join(filter(None, (row.scheme, row.runtime, row.words))))


def in_one_line(sheet: Sheet, findings: Findings, width: int) -> tuple[str, set[str]]:
    """(a sheet of one row, with as many figures as the width takes; the marks in it): there is no choice to show."""
    row = sheet.reference
    line = visible(f"{sheet.file} {sheet.model}".strip()) + f" {_name(row)}"
    said: set[str] = set()
    more_rows = f"; {_count(len(sheet.others), 'more row')}: -v" if sheet.others else ""
    for column in sheet.columns:
        figure = row.figures.get(column.name)
        if figure is None:
            continue
        doubts = marks.doubts(figure)
        changed, _ = _change(_finding(figure, findings))
        more = f"  {visible(column.title)} {visible(human(figure.metric.value, column.unit))}{doubts}"
        more += f" ({changed})" if changed else ""
        if cell_len(line + more + more_rows) > width:
            break
        line, said = line + more, {*said, *doubts}
    return line + more_rows, said


def _title(column: Row, unit: str, body: int) -> str:
    """The column's title and unit, in two lines where one would be wider than its figures."""
    words = [*visible(column.title).split(), *([unit] if unit else [])]
    whole = " ".join(words)
    if len(words) < 2 or cell_len(whole) <= body:
        return whole
    cuts = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    return "\n".join(min(cuts, key=lambda cut: max(map(cell_len, cut))))


def _column(sheet: Sheet, column: Row, findings: Findings | None) -> _Column:
    figures = [row.figures.get(column.name) for row in sheet.rows]
    sizes = [abs(f.metric.value) for f in figures if f is not None and f.metric.value]
    alike = bool(sizes) and max(sizes) <= ONE_UNIT * min(sizes)
    by, unit = scale(sizes, column.unit) if alike else (1.0, "")
    top = marks.best(sheet, column)
    found: list[_Entry | None] = []
    for i, (row, figure) in enumerate(zip(sheet.rows, figures, strict=True)):
        if figure is None:
            found.append(None)
            continue
        shown = human(figure.metric.value, column.unit) if by == 1.0 else three_digits(figure.metric.value / by)
        said = (marks.BEST if i in top else "") + marks.doubts(figure)
        beside, style = _related(sheet, row, column) if findings is None else _change(_finding(figure, findings))
        found.append(_Entry(visible(shown), said, beside, style, i in top))
    return _Column(column, unit if by != 1.0 else "", found)


def _change(finding: Finding | None) -> tuple[str, str]:
    """(text, style) of a change against the baseline; nothing beside what did not change."""
    if finding is None or finding.kind not in CHANGED or finding.change is None:
        return "", ""
    return percent(finding.change), STYLES.get(finding.kind, "")


def _related(sheet: Sheet, row: Merged, column: Row) -> tuple[str, str]:
    """(text, style) of how a figure is to the reference's: a difference for accuracies, a ratio for the rest."""
    theirs, why_not = sheet.held_against(row, column)
    if theirs is None:
        return "", ""
    if why_not is not None:
        return marks.INCOMPARABLE, "dim"
    now, before = row.figures[column.name].metric.value, theirs.metric.value
    if column.absolute:
        return f"{now - before:+.3f}", ""
    return (factor(now / before) if before else ""), ""


def _texts(entries: Sequence[_Entry | None]) -> list[Text]:
    """The entries of a column with their marks, and what is beside them, below each other."""
    known = [entry for entry in entries if entry is not None]
    marked = max((len(entry.marks) for entry in known), default=0)
    beside = max((len(entry.beside) for entry in known), default=0)
    return [Text() if entry is None else _text(entry, marked, beside) for entry in entries]


def _text(entry: _Entry, marked: int, beside: int) -> Text:
    text = Text(style="bold" if entry.bold else "")
    text.append(entry.value + entry.marks.ljust(marked))
    if beside:
        text.append(f" {entry.beside.rjust(beside)}", style=entry.style)
    return text


def below(sheet: Sheet, table: Drawn, every_row: bool) -> Iterator[str]:
    """The line that counts what the table leaves out; in full, each reason why figures are not comparable."""
    parts = []
    if sheet.others and not every_row:
        parts.append(f"{_count(len(sheet.others), 'more row')} ({', '.join(map(visible, sheet.folded))}): -v")
    if table.unchanged:
        parts.append(f"unchanged: {_titles(table.unchanged)}")
    if table.without:
        parts.append(f"no room for: {_titles(table.without)}")
    if parts:
        yield "; ".join(parts)
    if every_row:
        pairs = [(row, column) for row in (*sheet.rows, *sheet.others) for column in sheet.columns]
        reasons = Counter(why_not for pair in pairs if (why_not := sheet.held_against(*pair)[1]) is not None)
        yield from (f"{marks.INCOMPARABLE}: {_count(n, 'figure')}: {visible(why)}" for why, n in reasons.items())


def _titles(columns: Sequence[Row]) -> str:
    return ", ".join(visible(column.title) for column in columns)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n > 1 else ''}"
