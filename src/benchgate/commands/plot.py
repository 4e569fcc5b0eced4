"""`benchgate plot`: size, accuracy, time and throughput by cell, one file a metric."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchgate import registration
from benchgate.report import plot_sets
from benchgate.report.memory_course import plot_memory
from benchgate.report.plots import plot
from benchgate.results import read_records
from benchgate.storage.project import working_folder

SETS = {"compression": plot_sets.compression}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("plots"), metavar="DIR", help="where to (default: plots)")
    parser.add_argument(
        "--set",
        choices=sorted(SETS),
        help="instead: compression draws size, accuracy and speed by model and scheme, a figure each and task",
    )
    parser.add_argument("--format", default="svg", metavar="EXT", help="svg, png or pdf (default: svg)")


def run(arguments: argparse.Namespace, console: Console) -> int:
    registration.load_project(working_folder())
    records = [record for path in arguments.files for record in read_records(path)]
    if arguments.set is not None:
        for path in SETS[arguments.set](records, arguments.out, arguments.format):
            console.print(str(path), soft_wrap=True)
        return 0
    courses = plot_memory(records, arguments.out, arguments.format)
    for path in [*plot(records, arguments.out, arguments.format), *courses]:
        console.print(str(path), soft_wrap=True)
    return 0
