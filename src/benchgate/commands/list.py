"""`benchgate list KIND`: models, schemes, runtimes, tasks, metrics, cells, as the project's own pytest sees them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from rich.console import Console

from benchgate.commands import suite
from benchgate.commands.exits import UNUSABLE
from benchgate.pytest_plugin.collecting import BENCHMARKS, Suite
from benchgate.report.grid import Grid, rendered
from benchgate.report.listing import REGISTERED, cell_table

CELLS = "cells"
WIDE = 140
# Parts of a cell's name, which has them already.
PARTS = ("model", "scheme", "runtime", "device")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=(*REGISTERED, CELLS), metavar="KIND", help=", ".join((*REGISTERED, CELLS)))
    parser.add_argument(
        "--tests", nargs="+", metavar="TEST", default=[],
        help=f"files or folders to look in (default: {BENCHMARKS}/ where it is there, else what pytest collects)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="as JSON, all fields")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the table. Exit code 2 where a file could not be collected: the list may lack what it defines."""
    found = suite.whole(arguments.tests)
    cells = partial(cell_table, found.asked, tuple(_notes(found)))
    tables: Mapping[str, Callable[[], Grid]] = {**REGISTERED, CELLS: cells}
    grid = tables[arguments.kind]()
    style = "json" if arguments.json else "terminal"
    print(rendered([grid if arguments.json else _for_people(grid)], style, max(console.width, WIDE)), end="")
    return UNUSABLE if found.failed else 0


def _for_people(grid: Grid) -> Grid:
    keep = [i for i, column in enumerate(grid.columns) if column not in PARTS or grid.title != CELLS]
    rows = tuple(tuple(row[i] for i in keep) for row in grid.rows)
    return Grid(grid.title, tuple(grid.columns[i] for i in keep), rows, grid.notes)


def _notes(found: Suite) -> Iterator[str]:
    if not found.asked:
        yield "no test asks for a cell; mark one with @pytest.mark.cells(model=..., runtime=...)"
    yield from (f"impossible: {count} x {reason}" for reason, count in found.impossible.items())
    yield from (f"skipped: {line}" for line in found.skipped)
