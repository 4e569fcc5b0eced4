"""The arguments of the verbs that answer queries, `chat` and `serve`, and the model that they mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchgate.commands import suite
from benchgate.commands.cells import add_cell_arguments, chosen_cell
from benchgate.core import BenchgateError, Unavailable
from benchgate.machine.packages import missing_packages
from benchgate.serving.reformulate import Reformulator, load_reformulator
from benchgate.tasks.text2text.models import TASK


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    add_cell_arguments(parser)
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the model (default: 1)")


def reformulator(arguments: argparse.Namespace) -> Callable[[], Reformulator]:
    """A function that loads the cell of the command line; that the cell exists and can run is checked at once."""
    suite.load([arguments.cell], [arguments.scheme, arguments.runtime, arguments.device])
    if arguments.threads < 1:
        raise BenchgateError(f"--threads {arguments.threads}: at least 1 is needed")
    cell = chosen_cell(arguments, TASK)
    return lambda: load_reformulator(cell, arguments.threads)


def need(packages: dict[str, str]) -> None:
    """Raises Unavailable, with the install command, where one of these (import name -> extra) is missing."""
    reason = missing_packages(packages)
    if reason:
        raise Unavailable(reason)
