"""`benchgate loading`: a model's weights mapped from their file against read into memory, in time and memory."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from benchgate.commands import suite
from benchgate.commands.cells import DEFAULTS, parse_cell
from benchgate.core import LOAD_WAYS, BenchgateError, Unavailable, models, runtimes, schemes, support
from benchgate.executors.local import Local, Settings
from benchgate.machine.devices import usable_cores
from benchgate.measuring import loading
from benchgate.measuring.held import Held
from benchgate.measuring.resolved import resolve
from benchgate.report.loading import print_loading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cells", nargs="+", metavar="CELL", help="smollm2-135m-fp32-torch-cpu; several: one table")
    for axis, default in DEFAULTS.items():
        parser.add_argument(f"--{axis}", metavar=axis.upper(), help=f"of cells that name none; default: {default}")
    parser.add_argument("--load", choices=LOAD_WAYS, action="append", help="only this way; repeatable; default: both")
    parser.add_argument("--operation", metavar="NAME", help="what is called; default: the task's first")
    parser.add_argument("--threads", type=int, metavar="N", help="default: all cores")
    parser.add_argument("--repeats", type=int, default=loading.REPEATS, metavar="N", help="loads of each kind (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too, in s and bytes")


def run(arguments: argparse.Namespace, console: Console) -> int:
    for name in ("repeats", "threads"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise BenchgateError(f"--{name} {getattr(arguments, name)}: at least 1 is needed")
    suite.load(arguments.cells, [arguments.scheme, arguments.runtime, arguments.device])
    found = [figures for cell in arguments.cells for figures in _measured(cell, arguments, console)]
    print_loading(console, found)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n", encoding="utf-8")
    return 0


def _measured(name: str, arguments: argparse.Namespace, console: Console) -> Iterator[loading.Loading]:
    """The figures of one cell, a way at a time; one that its artifact has not is said. Raises Unavailable for all."""
    cell = parse_cell(name, arguments.scheme, arguments.runtime, arguments.device)
    reason = support.refusal(models[cell.model], schemes[cell.scheme], runtimes[cell.runtime])
    for way in dict.fromkeys(arguments.load or LOAD_WAYS):
        of = resolve(cell, way)
        if reason or (reason := of.missing()):
            raise Unavailable(f"{cell}: {reason}")
        with ExitStack() as stack:
            local = Local(Settings(way=way))
            stack.callback(local.close)
            plan = loading.planned(of, arguments.threads or usable_cores(), arguments.operation)
            try:
                yield loading.measure(plan, partial(local.place, of, Held()), arguments.repeats)
            except Unavailable as unavailable:
                console.print(f"skipped: {cell} {way}: {unavailable}", soft_wrap=True, markup=False)
