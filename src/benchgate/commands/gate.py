"""`benchgate gate`: two stored results compared, with the rows and tolerances of the project that one stands in."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchgate import registration
from benchgate.commands.exits import WORSE
from benchgate.report.verdicts import judge_files
from benchgate.storage.project import working_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("baseline", type=Path, metavar="BASELINE", help="JSON of `pytest --benchmark-json`")
    parser.add_argument("current", type=Path, metavar="CURRENT")
    parser.add_argument("--strict", action="store_true", help="cells that are new or gone count as worse")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML too")


def run(arguments: argparse.Namespace, console: Console) -> int:
    root = registration.load_project(working_folder())
    worse = judge_files(arguments.baseline, arguments.current, arguments.strict, arguments.junit, console, root)
    return WORSE if worse else 0
