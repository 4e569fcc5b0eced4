"""`benchgate bisect`: the commit that made a cell worse, every step measured side by side with the good one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchgate.commands.exits import UNUSABLE
from benchgate.executors import bisect
from benchgate.storage.checkout import here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("good", metavar="GOOD", help="a commit, branch or tag that was good")
    parser.add_argument("bad", metavar="BAD", help="one made from it that is worse")
    parser.add_argument(
        "--metric", metavar="NAME", help="only this one's verdict counts: time, size_bytes (default: all)"
    )
    parser.add_argument(
        "pytest", nargs="+", metavar="CELL", help="after `--`: the test's id, and options of pytest: --gate-budget 5m"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    folder = Path.cwd()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    def command(good: str, report: Path) -> Sequence[str]:
        gate = ("--gate-against", good, "--gate-report", str(report))
        return [sys.executable, "-m", "pytest", *arguments.pytest, *gate]

    step = bisect.measured(here(folder), command, arguments.metric)
    found = bisect.bisect(folder, arguments.good, arguments.bad, step, say)
    if len(found.commits) == 1:
        say(f"first bad commit: {found.commits[0]}")
        return 0
    say(f"could not be told: the first bad one is among these {len(found.commits)}, of which the others were skipped")
    for commit in found.commits:
        say(f"  {commit}")
    return UNUSABLE
