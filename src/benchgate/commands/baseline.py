"""`benchgate baseline save|list|show|promote|prune`: good runs by name, and the one that all are held against."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchgate.core import BenchgateError
from benchgate.gate.saved import gathered
from benchgate.gate.shelf import Shelf
from benchgate.report.escape import visible
from benchgate.report.grid import Entry, Grid, rendered
from benchgate.report.tables import metric_tables
from benchgate.results import Record
from benchgate.storage.project import working_folder

KEEP = 10
COLUMNS = ("baseline", "saved", "commit", "machine", "runs", "cells", "state")
WIDE = 140


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="save|list|show|promote|prune", dest="action")
    save = actions.add_parser(
        "save", help="several runs of one commit as one baseline; red and disturbed cells stay out"
    )
    save.add_argument("name", metavar="NAME")
    save.add_argument("files", type=Path, nargs="+", metavar="FILE", help="JSON of `pytest --benchmark-json`")
    actions.add_parser("list", help="all baselines of this project, and which one is promoted")
    for name, text in {
        "show": "a baseline's runs and figures",
        "promote": "hold each run with --benchmark-compare against this one too, so that drift cannot pass",
    }.items():
        actions.add_parser(name, help=text).add_argument("name", metavar="NAME")
    prune = actions.add_parser("prune", help="remove the oldest; the promoted one stays")
    prune.add_argument("--keep", type=int, default=KEEP, metavar="N", help=f"so many of the others (default: {KEEP})")


def run(arguments: argparse.Namespace, console: Console) -> int:
    return ACTIONS[arguments.action](arguments, console, Shelf.of(working_folder()))


def _save(arguments: argparse.Namespace, console: Console, shelf: Shelf) -> int:
    now = datetime.now(UTC).isoformat()
    saved, records, left_out = gathered(arguments.name, arguments.files, now)
    path = shelf.add(saved, records)
    for line in left_out:
        console.print(visible(line), soft_wrap=True)
    cells = len({record.key for record in records})
    console.print(visible(f"{path}: {_count(cells, 'cell')} of {_count(len(saved.runs), 'run')}"), soft_wrap=True)
    console.print(
        visible(f"commit {saved.shown_commit}; next: `benchgate baseline promote {saved.name}`"), soft_wrap=True
    )
    return 0


def _list(arguments: argparse.Namespace, console: Console, shelf: Shelf) -> int:
    promoted, notes = None, []
    try:
        promoted = shelf.promoted_name()
    except BenchgateError as error:
        notes.append(str(error))
    rows = tuple(_row(shelf, name, promoted) for name in shelf.names())
    if not rows:
        notes.append("none is saved; `benchgate baseline save NAME FILES...` makes one")
    print(
        rendered(
            [Grid(f"baselines in {shelf.folder}", COLUMNS, rows, tuple(notes))], "terminal", max(console.width, WIDE)
        ),
        end="",
    )
    return 0


def _row(shelf: Shelf, name: str, promoted: str | None) -> tuple[Entry, ...]:
    try:
        saved, records = shelf.read(name)
    except BenchgateError as error:
        return (name, None, None, None, None, None, str(error))
    state = "promoted" if name == promoted else ""
    cells = len({record.key for record in records})
    return (name, saved.saved[:19], saved.shown_commit, _machines(records), len(saved.runs), cells, state)


def _machines(records: Sequence[Record]) -> str:
    """The processors that the records are of, each with the first digits of its fingerprint."""
    found = {}
    for record in records:
        text = json.dumps(record.machine, sort_keys=True, default=str)
        found[hashlib.sha256(text.encode()).hexdigest()[:8]] = str(record.machine.get("cpu", "unknown"))
    return "; ".join(f"{cpu} [{digest}]" for digest, cpu in found.items())


def _show(arguments: argparse.Namespace, console: Console, shelf: Shelf) -> int:
    saved, records = shelf.read(arguments.name)
    promoted = ", promoted" if shelf.promoted_name() == saved.name else ""
    console.print(visible(f"{saved.name}: commit {saved.shown_commit}, saved {saved.saved}{promoted}"), soft_wrap=True)
    console.print(visible(f"machine: {_machines(records)}"), soft_wrap=True)
    files = [run.file for run in saved.runs for _ in range(run.cells)]
    for run in saved.runs:
        console.print(
            visible(f"run: {run.file}, {run.datetime or 'no date'}, {_count(run.cells, 'cell')}"), soft_wrap=True
        )
    for table in metric_tables(records, {}, console.width, files if len(files) == len(records) else ()):
        console.print(table)
        console.print()
    return 0


def _promote(arguments: argparse.Namespace, console: Console, shelf: Shelf) -> int:
    shelf.promote(arguments.name)
    told = (
        f"{arguments.name} is promoted: `pytest ... --benchmark-compare` and `benchgate gate` hold each cell against it"
    )
    console.print(visible(told), soft_wrap=True)
    return 0


def _prune(arguments: argparse.Namespace, console: Console, shelf: Shelf) -> int:
    if arguments.keep < 0:
        raise BenchgateError(f"--keep {arguments.keep}: a number from 0 on is needed")
    gone, broken = shelf.prune(arguments.keep)
    for line in broken:
        console.print(visible(f"left alone: {line}"), soft_wrap=True)
    console.print(visible(f"removed: {', '.join(gone) or 'none'}"), soft_wrap=True)
    return 0


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


ACTIONS: dict[str, Callable[[argparse.Namespace, Console, Shelf], int]] = {
    "save": _save,
    "list": _list,
    "show": _show,
    "promote": _promote,
    "prune": _prune,
}
