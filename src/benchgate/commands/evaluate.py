"""`benchgate evaluate`: the answers of a text-to-text model scored and timed, query by query."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchgate.commands import suite
from benchgate.commands.cells import add_cell_arguments, chosen_cell
from benchgate.machine.devices import usable_cores
from benchgate.measuring.evaluate import Order, evaluate
from benchgate.report.evaluation import evaluation_tables
from benchgate.report.grid import rendered
from benchgate.results import write_records
from benchgate.storage.git import commit_info
from benchgate.storage.project import working_folder
from benchgate.tasks.text2text.models import TASK

# Columns that the table needs; a narrow terminal wraps it.
WIDE = 112


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cell_arguments(parser)
    parser.add_argument("--data", action="append", metavar="NAME|FILE", help="dev, test or JSONL; repeatable (test)")
    parser.add_argument("--limit", type=int, metavar="N", help="a seeded random sample of N queries (default: all)")
    parser.add_argument(
        "--show", type=int, default=0, metavar="N", help="print N answers that a seed draws (default: 0)"
    )
    parser.add_argument("--beams", type=int, default=1, metavar="N", help="beam search of this width (default: 1)")
    parser.add_argument("--threads", type=int, metavar="N", help="of the model (default: all usable cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records there, with all intervals")


def run(arguments: argparse.Namespace, console: Console) -> int:
    suite.load([arguments.cell], [arguments.scheme, arguments.runtime, arguments.device])
    cell = chosen_cell(arguments, TASK)
    threads = usable_cores() if arguments.threads is None else arguments.threads
    records = evaluate(
        cell, Order(arguments.data or ["test"], arguments.limit, threads, arguments.beams, arguments.show)
    )
    print(rendered(evaluation_tables(records), "terminal", max(console.width, WIDE)), end="")
    if arguments.json:
        write_records(arguments.json, records, commit_info(working_folder()))
    return 0
