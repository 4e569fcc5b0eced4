"""`benchgate compare`: one table of several stored results, against the fp32 cells."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchgate.report.comparison import compare
from benchgate.report.comparison_formats import show

FORMATS = ("table", "markdown", "csv", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="JSON of `pytest --benchmark-json`")
    parser.add_argument("--by", choices=("machine", "environment"), help="each one's columns apart")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=f"{', '.join(FORMATS)}")


def run(arguments: argparse.Namespace, console: Console) -> int:
    show(compare(arguments.files, arguments.by), arguments.format, console)
    return 0
