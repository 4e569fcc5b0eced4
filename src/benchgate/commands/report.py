"""`benchgate report`: the tables of stored results, or one page of them."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchgate import registration
from benchgate.core import BenchgateError
from benchgate.report.escape import visible
from benchgate.report.grid import rendered
from benchgate.report.notes import notes
from benchgate.report.stored_formats import FORMATS, formatted
from benchgate.report.summary import print_sheets
from benchgate.report.tables import metric_tables
from benchgate.results import Record, read_records
from benchgate.storage.project import working_folder

# `--table NAME`: the function, records -> Grids, that makes it
TABLES = {
    "training": "benchgate.report.training:training_tables",
    "latency": "benchgate.report.latency:latency_tables",
}
# The formats of a particular table.
GRID_FORMATS = ("terminal", "markdown", "csv", "latex", "json")
# Ending of --out without --table -> the function, (files, path), that writes it
PAGES = {".html": "benchgate.report.page:write"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--table", choices=sorted(TABLES), help="one particular table (default: a summary by model)")
    parser.add_argument("--full", action="store_true", help="all metrics, by cell")
    parser.add_argument("-v", "--verbose", action="store_true", help="every row, every reason")
    parser.add_argument("--format", choices=("terminal", *FORMATS), default="terminal")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE",
        help=f"write a page of everything there ({', '.join(PAGES)}); with --table or a --format that",
    )  # fmt: skip
    parser.add_argument(
        "--max-loss", action="append", default=[], metavar="[NAME=]SHARE",
        help="for the page's cell to ship, as of `benchgate recommend` (default: 1%%)",
    )  # fmt: skip


def run(arguments: argparse.Namespace, console: Console) -> int:
    if arguments.out and not arguments.table and arguments.format == "terminal":
        return _page(arguments, console)
    if arguments.max_loss:
        raise BenchgateError(f"--max-loss {arguments.max_loss[0]} is for a page; write it with -o report.html")
    named = [(record, str(path)) for path in arguments.files for record in read_records(path)]
    records, files = [record for record, _ in named], [file for _, file in named] if len(arguments.files) > 1 else []
    if arguments.table:
        return _named_table(arguments, console, records, files)
    if arguments.format != "terminal":
        registration.load_project(working_folder())
        return _written(formatted(arguments.format, records, files), arguments.out, console)
    if arguments.full:
        for table in metric_tables(records, {}, console.width, files):
            console.print(table)
            console.print()
    else:
        registration.load_project(working_folder())
        print_sheets(console, records, {}, arguments.verbose, files)
    for line in notes(records, arguments.full or arguments.verbose):
        console.print(visible(line), soft_wrap=True)
    return 0


def _page(arguments: argparse.Namespace, console: Console) -> int:
    out: Path = arguments.out
    if out.suffix not in PAGES:
        raise BenchgateError(
            f"cannot write {out}: a page's name ends in {', '.join(PAGES)}; else give a --format of "
            f"{', '.join(FORMATS)}, or a --table: {', '.join(sorted(TABLES))}"
        )
    registration.load_project(working_folder())
    module, _, name = PAGES[out.suffix].partition(":")
    getattr(import_module(module), name)(arguments.files, out, arguments.max_loss)
    console.print(str(out), soft_wrap=True)
    return 0


def _named_table(arguments: argparse.Namespace, console: Console, records: list[Record], files: list[str]) -> int:
    if arguments.format not in GRID_FORMATS:
        raise BenchgateError(f"--table has no --format {arguments.format}; give one of {', '.join(GRID_FORMATS)}")
    module, _, name = TABLES[arguments.table].partition(":")
    text = rendered(getattr(import_module(module), name)(records, files), arguments.format, console.width)
    return _written(text, arguments.out, console)


def _written(text: str, out: Path | None, console: Console) -> int:
    if out is None:
        print(text, end="")
        return 0
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchgateError(f"cannot write {out}: {error.strerror}; give --out another place") from error
    console.print(str(out), soft_wrap=True)
    return 0
