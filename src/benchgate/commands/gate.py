"""`benchgate gate`: two stored results compared, with the rows and tolerances of the project that one stands in."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchgate import registration
from benchgate.commands.exits import WORSE
from benchgate.gate import compare as gate
from benchgate.project import read_settings, working_folder
from benchgate.report.verdicts import print_findings, write_junit
from benchgate.results import read_records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("baseline", type=Path, metavar="BASELINE", help="JSON of `pytest --benchmark-json`")
    parser.add_argument("current", type=Path, metavar="CURRENT")
    parser.add_argument("--strict", action="store_true", help="cells that are new or gone count as worse")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML too")


def run(arguments: argparse.Namespace, console: Console) -> int:
    root = registration.load_project(working_folder())
    policy = gate.parse_policy(read_settings(root).get("gate", {}), "[tool.benchgate.gate] in pyproject.toml")
    current = read_records(arguments.current)
    findings = gate.compare_sessions(current, read_records(arguments.baseline), policy)
    failed = gate.failing(findings, arguments.strict)
    print_findings(console, findings, failed)
    if arguments.junit:
        write_junit(arguments.junit, current, findings, failed)
    return WORSE if failed else 0
