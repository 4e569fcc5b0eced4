"""`benchgate calibrate`: how far apart two equal sides are measured on this machine, and which slowdowns are found."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from benchgate import registration
from benchgate.commands.cells import parse_cell
from benchgate.core import BenchgateError, Cell, Unavailable, operations
from benchgate.executors.collected import Collected, cells_of_tests
from benchgate.executors.team import loaded_call
from benchgate.gate.numbers import need
from benchgate.gate.side_by_side import calibrate as engine
from benchgate.gate.side_by_side.calibrated import Calibrated, file_of, keep, read
from benchgate.gate.side_by_side.pairs import Crew, Side
from benchgate.gate.side_by_side.rule import RULE
from benchgate.gate.side_by_side.timed import Prepared
from benchgate.gate.side_by_side.workloads import WORKLOADS
from benchgate.machine.fingerprint import fingerprint
from benchgate.measuring.run import resolve
from benchgate.report.grid import Grid, rendered
from benchgate.storage.project import working_folder

WIDE = 140
# Where a project's benchmarks are, where nothing else is said.
BENCHMARKS = "benchmarks"
DEVICE = "cpu"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    built_in = ", ".join(WORKLOADS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{built_in}, or a cell (default: {built_in})")
    parser.add_argument(
        "-k",
        metavar="WORD",
        default="",
        help=f"only names and operations that have this word; without a NAME also of tests in {BENCHMARKS}/",
    )
    parser.add_argument(
        "--tests", nargs="+", metavar="TEST", default=[], help="files, folders or ids whose cells are meant"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of a cell's runtime (default: 1)")
    parser.add_argument("--zygotes", type=_at_least(2), default=6, metavar="N", help="zygote pairs (default: 6)")
    parser.add_argument("--pairs", type=_at_least(2), default=4, metavar="N", help="pairs of each (default: 4)")
    parser.add_argument(
        "--trials", type=_at_least(0), default=1, metavar="N", help="live comparisons a slowdown (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of orders and simulation (default: 0)")
    parser.add_argument("--show", action="store_true", help="print what is kept of this machine and measure nothing")


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return number


def run(arguments: argparse.Namespace, console: Console) -> int:
    root = registration.load_project(working_folder())
    machine = fingerprint(DEVICE)
    if arguments.show:
        found = list(read(file_of(machine), machine).values())
        if not found:
            raise BenchgateError("nothing is calibrated on this machine; run `benchgate calibrate`")
        _print(found, console)
        return 0
    need("benchgate calibrate")
    effort = engine.Effort(arguments.zygotes, arguments.pairs, arguments.trials, arguments.seed)
    found = []
    with _wanted(arguments, root) as wanted:
        for name, side in wanted.sides.items():
            found.append(engine.calibrate(name, side, effort=effort, crew=wanted.crew, said=console.print))
            path = keep(found[-1], machine)
    _print(found, console)
    console.print(f"kept in {path}")
    return 0


@contextmanager
def _wanted(arguments: argparse.Namespace, root: Path) -> Iterator[Collected]:
    """The sides that the command line means: of tests where it names some, or has a word that no NAME is beside."""
    names, word = arguments.names, arguments.k
    if names and arguments.tests:
        raise BenchgateError(f"NAME {names[0]!r} and --tests {arguments.tests[0]!r}: give one of them")
    tests = arguments.tests
    if word and not names and not tests and not any(word in name for name in WORKLOADS):
        tests = [BENCHMARKS] if (working_folder() / BENCHMARKS).is_dir() else []
    if tests:
        with cells_of_tests(tests, word, working_folder()) as found:
            yield found
    else:
        yield Collected(chosen(names, word, arguments.threads, root), Crew)


def chosen(names: list[str], word: str, threads: int, root: Path) -> dict[str, Side]:
    """Return the sides by name: built-in workloads, and `cell operation` for each operation of a cell.

    Raises UnknownName, Unavailable, BenchgateError where `word` leaves nothing.
    """
    found: dict[str, Side] = {}
    for name in names or list(WORKLOADS):
        if name in WORKLOADS:
            found[name] = Side(WORKLOADS[name].load, WORKLOADS[name].preload)
        else:
            found.update(_operations(parse_cell(name), threads, root))
    left = {name: side for name, side in found.items() if word in name}
    if not left:
        raise BenchgateError(f"-k {word!r} leaves nothing of: {', '.join(found)}")
    return left


def _operations(cell: Cell, threads: int, root: Path) -> Mapping[str, Side]:
    of = resolve(cell)
    if reason := of.missing():
        raise Unavailable(f"{cell}: {reason}")
    preload = tuple(of.runtime.needs)
    return {
        f"{cell} {name}": Side(
            functools.partial(load_cell, cell, name, threads, root), preload, device=cell.device, threads=threads
        )
        for name in operations(of.task)
    }


def load_cell(cell: Cell, operation: str, threads: int, root: Path) -> Callable[[], Any] | Prepared:
    """Return the call of one operation of a cell, loaded in this process, on the task's own inputs."""
    registration.load_project(root)
    return loaded_call(resolve(cell), operation, {}, None, threads)


def _print(found: list[Calibrated], console: Console) -> None:
    rows = tuple(engine.summary(found))
    notes = tuple(filter(None, (engine.meaningless(one, RULE) for one in found)))
    grid = Grid("calibration of this machine", engine.COLUMNS, rows, notes)
    print(rendered([grid], "terminal", max(console.width, WIDE)), end="")
    live = tuple(
        (
            one.name,
            trial.how or "none",
            f"{trial.share:.0%}",
            trial.trials,
            trial.regressed,
            trial.same,
            _told(trial.change),
        )
        for one in found
        for trial in one.found
    )
    if live:
        columns = ("name", "injected", "share", "comparisons", "regressed", "same", "measured")
        print(rendered([Grid("live comparisons", columns, live)], "terminal", max(console.width, WIDE)), end="")


def _told(change: float | None) -> str:
    return "-" if change is None else f"{change:+.1%}"
