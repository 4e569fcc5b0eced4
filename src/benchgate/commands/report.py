"""`benchgate report`: the tables of stored results, or one page of them."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchgate.core import BenchgateError
from benchgate.report.escape import visible
from benchgate.report.grid import rendered
from benchgate.report.summary import notes
from benchgate.report.tables import metric_tables
from benchgate.results import Record, read_records

# `--table NAME`: the function, records -> Grids, that makes it
TABLES = {
    "training": "benchgate.report.training:training_tables",
    "latency": "benchgate.report.latency:latency_tables",
}
# Ending of --out without --table -> the function, (files, path), that writes it
PAGES = {".html": "benchgate.report.page:write"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--table", choices=sorted(TABLES), help="one particular table (default: all metrics by model)")
    parser.add_argument("--format", choices=("terminal", "markdown", "csv", "latex", "json"), default="terminal")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE",
        help=f"write a page of everything ({', '.join(PAGES)}); with --table that table",
    )  # fmt: skip


def run(arguments: argparse.Namespace, console: Console) -> int:
    if arguments.out and not arguments.table:
        return _page(arguments, console)
    named = [(record, str(path)) for path in arguments.files for record in read_records(path)]
    records, files = [record for record, _ in named], [file for _, file in named] if len(arguments.files) > 1 else []
    if arguments.table:
        return _named_table(arguments, console, records, files)
    if arguments.format != "terminal":
        raise BenchgateError(f"--format needs a --table of: {', '.join(sorted(TABLES))}")
    for table in metric_tables(records, {}, console.width, files):
        console.print(table)
        console.print()
    for line in notes(records):
        console.print(visible(line), soft_wrap=True)
    return 0


def _page(arguments: argparse.Namespace, console: Console) -> int:
    out: Path = arguments.out
    if out.suffix not in PAGES:
        raise BenchgateError(
            f"cannot write {out}: a page's name ends in {', '.join(PAGES)}; for one table add "
            f"--table {' or '.join(sorted(TABLES))}"
        )
    if arguments.format != "terminal":
        raise BenchgateError(f"--format needs a --table of: {', '.join(sorted(TABLES))}; a page has one format")
    module, _, name = PAGES[out.suffix].partition(":")
    getattr(import_module(module), name)(arguments.files, out)
    console.print(str(out), soft_wrap=True)
    return 0


def _named_table(arguments: argparse.Namespace, console: Console, records: list[Record], files: list[str]) -> int:
    module, _, name = TABLES[arguments.table].partition(":")
    text = rendered(getattr(import_module(module), name)(records, files), arguments.format, console.width)
    if arguments.out is None:
        print(text, end="")
    else:
        try:
            arguments.out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BenchgateError(f"cannot write {arguments.out}: {error.strerror}; give --out another place") from error
        console.print(str(arguments.out), soft_wrap=True)
    return 0
