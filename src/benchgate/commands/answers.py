"""`benchgate answers`: a stored report of `pytest --gate-against`, shown or turned into other formats."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchgate.gate.side_by_side.answers import read_answers
from benchgate.report.gate_formats import FORMATS, as_grid, changed, write
from benchgate.report.grid import rendered


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSON of `pytest --gate-against REF --gate-report FILE`"
    )
    parser.add_argument(
        "-o", "--out", type=Path, action="append", metavar="FILE", help=f"write it there: {', '.join(FORMATS)}"
    )
    parser.add_argument(
        "--strict", action="store_true", help="what could not be told is a failure, as --gate-strict has it"
    )
    parser.add_argument("--if-changed", action="store_true", help="write nothing where nothing changed: for a comment")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print, or write. Exit code 0 whatever the verdict was: it has failed its run already."""
    answers = read_answers(arguments.file)
    if not arguments.out:
        print(rendered([as_grid(answers)], "terminal", console.width), end="")
    elif arguments.if_changed and not changed(answers, arguments.strict):
        console.print("nothing changed, nothing is written")
    else:
        for path in arguments.out:
            write(answers, path, arguments.strict)
    return 0
