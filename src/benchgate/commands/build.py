"""`benchgate build`: the artifacts of a model's cells, quantized, converted and exported into the cache."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchgate.commands import suite
from benchgate.commands.exits import WORSE
from benchgate.measuring import building
from benchgate.report.building import print_built
from benchgate.tasks.text2text import rewrites


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    for axis in ("scheme", "runtime"):
        parser.add_argument(
            f"--{axis}", action="append", default=[], metavar=axis.upper(), help="repeatable; default: all"
        )
    parser.add_argument(
        "--check", type=int, metavar="N", help="count of N queries of dev those with the text of fp32 on eager torch"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    suite.load([arguments.model], [*arguments.scheme, *arguments.runtime])
    cells, nonsense = building.plan(arguments.model, arguments.scheme, arguments.runtime)
    found = [building.build(cell) for cell in cells]
    if arguments.check is not None:
        found = list(building.check(found, rewrites.load("dev").sample(arguments.check)))
    print_built(console, found, nonsense)
    return WORSE if any(built.failed for built in found) else 0
