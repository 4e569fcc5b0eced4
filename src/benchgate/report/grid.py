"""One table as data, and as text for a terminal, Markdown, CSV, LaTeX or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchgate.report import escape
from benchgate.report.escape import csv_cell, visible

Entry = str | float | int | bool | None
ABSENT = "-"
# Of the width of a terminal the names of rows take at most so much unfolded.
NAMES = 0.45


@dataclass(frozen=True)
class Grid:
    """`rows` have an entry for each of `columns`; None is absent. `notes` stand below, in formats for people."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()

    def is_numeric(self, column: int) -> bool:
        entries = [row[column] for row in self.rows if row[column] is not None]
        return bool(entries) and all(isinstance(e, int | float) and not isinstance(e, bool) for e in entries)


def shown(entry: Entry) -> str:
    """Four significant digits for people; one line."""
    if entry is None:
        return ABSENT
    if isinstance(entry, bool):
        return str(entry).lower()
    return f"{entry:.4g}" if isinstance(entry, float) else visible(str(entry))


def terminal(grid: Grid, width: int = 200) -> str:
    """Aligned columns; long entries are folded to fit `width`."""
    table = Table(title=visible(grid.title) or None, title_justify="left", box=None, pad_edge=False)
    longest = max((len(shown(row[0])) for row in grid.rows if row), default=0)
    for index, column in enumerate(grid.columns):
        # A row's name is folded last: headings and sentences can be read in pieces.
        whole = index == 0 and longest <= NAMES * width
        justify: Literal["right", "left"] = "right" if grid.is_numeric(index) else "left"
        table.add_column(visible(column), justify=justify, overflow="fold", no_wrap=whole)
    for row in grid.rows:
        table.add_row(*map(shown, row))
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, color_system=None)
    console.print(table)
    for note in grid.notes:
        console.print(visible(note), soft_wrap=True)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def markdown(grid: Grid, width: int = 0) -> str:
    """A GitHub-flavoured table, the title above it and the notes below."""
    aligned = ["---:" if grid.is_numeric(index) else "---" for index in range(len(grid.columns))]
    body = [[escape.markdown(shown(entry)) for entry in row] for row in grid.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in ([*map(escape.markdown, grid.columns)], aligned, *body)]
    parts = [f"{escape.markdown(grid.title)}\n\n" if grid.title else "", "\n".join(lines), "\n"]
    return "".join([*parts, *(f"\n{escape.markdown(note)}\n" for note in grid.notes)])


def comma_separated(grid: Grid, width: int = 0) -> str:
    """RFC 4180 with all digits; absent is empty. No title, no notes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(csv_cell, grid.columns))
    writer.writerows(["" if entry is None else _csv(entry) for entry in row] for row in grid.rows)
    return out.getvalue()


def _csv(entry: Entry) -> Entry:
    if isinstance(entry, bool):
        return shown(entry)
    return csv_cell(entry) if isinstance(entry, str) else entry


def latex(grid: Grid, width: int = 0) -> str:
    """A tabular environment; needs the package booktabs."""
    places = "".join("r" if grid.is_numeric(index) else "l" for index in range(len(grid.columns)))
    lines = [rf"{' & '.join(escape.latex(cell) for cell in map(shown, row))} \\" for row in grid.rows]
    header = rf"{' & '.join(escape.latex(column) for column in grid.columns)} \\"
    title = [f"% {visible(grid.title)}"] if grid.title else []
    top = [r"% \usepackage{booktabs}", *title, rf"\begin{{tabular}}{{{places}}}", r"\toprule", header, r"\midrule"]
    return "\n".join([*top, *lines, r"\bottomrule", r"\end{tabular}", ""])


FORMATS: Mapping[str, Callable[[Grid, int], str]] = {
    "terminal": terminal,
    "markdown": markdown,
    "csv": comma_separated,
    "latex": latex,
}


def as_json(grids: Sequence[Grid]) -> str:
    """A list of tables: title, notes, and rows as objects with all digits; absent is null."""
    tables = [
        {"title": g.title, "rows": [dict(zip(g.columns, row, strict=True)) for row in g.rows], "notes": g.notes}
        for g in grids
    ]
    return json.dumps(tables, indent=1) + "\n"


def rendered(grids: Sequence[Grid], style: str, width: int) -> str:
    """All of them as one text, an empty line between two; as "json" one list."""
    if style == "json":
        return as_json(grids)
    return "\n".join(FORMATS[style](grid, width) for grid in grids)
