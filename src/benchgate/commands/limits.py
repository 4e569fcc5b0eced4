"""`benchgate limits`: the largest batch, context, ... at which a cell stays within a memory and a latency budget."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchgate.commands import suite
from benchgate.commands.cells import add_cell_arguments, parse_cell
from benchgate.commands.exits import WORSE
from benchgate.core import BenchgateError, parse_seconds
from benchgate.executors.limits import Limit, Trial, Wanted, find
from benchgate.machine.limits import parse_bytes
from benchgate.measuring.resolved import Resolved, resolve
from benchgate.report.escape import visible
from benchgate.report.grid import Grid, rendered
from benchgate.report.limits import map_table, table, verdict
from benchgate.report.limits_plot import draw
from benchgate.results import write_records
from benchgate.storage.git import commit_info
from benchgate.storage.project import working_folder

WIDE = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cell_arguments(parser)
    parser.add_argument(
        "--axis", action="append", required=True, metavar="NAME[=V,V,...]",
        help="batch, context, new-tokens, sessions, threads, ...; a second one with its values gives a map",
    )  # fmt: skip
    parser.add_argument("--operation", metavar="NAME", help="of the task (default: its first)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=N", help="another size, held at N")
    parser.add_argument("--memory", metavar="SIZE", help="2GiB, 512MB (default: what is free here)")
    parser.add_argument("--latency", metavar="TIME", help="200ms, 2s: the median of a call must not be above it")
    parser.add_argument("--threads", type=int, metavar="N", help="of the model (default: all usable cores)")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="for one trial (default: 120)")
    parser.add_argument("--trials", type=int, default=10, metavar="N", help="at most (default: 10)")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE.json", help="write a record of each trial there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture: .svg, .png or .pdf (one axis)")


def run(arguments: argparse.Namespace, console: Console) -> int:
    wanted, second = parse_wanted(arguments)
    suite.load([arguments.cell], [arguments.scheme, arguments.runtime, arguments.device])
    of = resolve(parse_cell(arguments.cell, arguments.scheme, arguments.runtime, arguments.device))
    if second is None:
        limits = {0: find(of, wanted, _say(wanted.axis))}
        grids = [_one(of, limits[0])]
    else:
        name, values = second
        limits = {v: find(of, replace(wanted, params={**wanted.params, name: v}), _say(wanted.axis)) for v in values}
        title = f"{of.cell}: {wanted.axis} that fits, by {name}"
        grids = [map_table(title, wanted.axis, name, limits)]
    print(rendered(grids, "terminal", max(console.width, WIDE)), end="")
    if arguments.out:
        write_records(
            arguments.out,
            [trial.record for limit in limits.values() for trial in limit.trials],
            commit_info(working_folder()),
        )
    if arguments.plot:
        console.print(str(draw(limits[0], f"{of.cell} {limits[0].operation}", arguments.plot)), soft_wrap=True)
    return 0 if any(limit.found.largest is not None for limit in limits.values()) else WORSE


def parse_wanted(arguments: argparse.Namespace) -> tuple[Wanted, tuple[str, list[int]] | None]:
    """The search, and the second axis with its values. Raises BenchgateError for what cannot be read."""
    names = [_axis(text) for text in arguments.axis]
    if len(names) > 2 or names[0][1] or (len(names) == 2 and not names[1][1]):
        raise BenchgateError("one axis, or two of which the second has values: --axis batch --axis context=64,128")
    if len(names) == 2 and arguments.plot:
        raise BenchgateError("--plot draws one axis; leave the second out")
    if arguments.trials < 1 or arguments.timeout <= 0 or (arguments.threads or 1) < 1:
        raise BenchgateError("--trials and --threads must be at least 1, --timeout above 0")
    fixed = [_axis(text) for text in arguments.set]
    if any(len(values) != 1 for _, values in fixed):
        raise BenchgateError(f"--set {arguments.set[0]!r}: write NAME=N, for example context=64")
    wanted = Wanted(
        names[0][0],
        arguments.operation,
        {name: values[0] for name, values in fixed},
        None if arguments.memory is None else parse_bytes(arguments.memory),
        None if arguments.latency is None else parse_seconds(arguments.latency, "latency"),
        arguments.threads,
        arguments.timeout,
        arguments.trials,
    )
    return wanted, names[1] if len(names) == 2 else None


def _axis(text: str) -> tuple[str, list[int]]:
    name, _, values = text.partition("=")
    try:
        return name.replace("-", "_"), [int(value) for value in values.split(",")] if values else []
    except ValueError:
        raise BenchgateError(f"{text!r}: values must be whole numbers: context=64,128,256") from None


def _say(axis: str) -> Callable[[Trial], None]:
    def said(trial: Trial) -> None:
        print(visible(f"{axis} {trial.value}: {trial.ended} {trial.reason}"[:150]), file=sys.stderr, flush=True)

    return said


def _one(of: Resolved, limit: Limit) -> Grid:
    return table(f"{of.cell} {limit.operation}", limit.axis, limit.trials, verdict(limit))
