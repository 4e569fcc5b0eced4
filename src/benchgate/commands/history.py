"""`benchgate history`: each metric over the stored runs, and the commits among which it changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchgate import registration
from benchgate.gate.change_points import course, require
from benchgate.gate.history import lines
from benchgate.report.grid import rendered
from benchgate.report.history import as_grid, as_json
from benchgate.results.runs import read_runs
from benchgate.storage.project import working_folder

WIDE = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="results files, or folders that hold them")
    parser.add_argument(
        "--metric", action="append", default=[], metavar="NAME", help="only this one (default: all that are gated)"
    )
    parser.add_argument("--cell", default="*", metavar="GLOB", help="only these tests' ids or cells: '*-int8-*'")
    parser.add_argument("--json", action="store_true", help="everything as JSON")


def run(arguments: argparse.Namespace, console: Console) -> int:
    require()
    registration.load_project(working_folder())
    runs, notes = read_runs(arguments.paths)
    found = lines(runs, arguments.metric, arguments.cell)
    courses = [course(line.values, line.row) for line in found]
    if arguments.json:
        print(as_json(found, courses, notes), end="")
    else:
        print(rendered([as_grid(found, courses, notes)], "terminal", max(console.width, WIDE)), end="")
    return 0
