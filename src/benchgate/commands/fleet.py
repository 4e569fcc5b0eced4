"""`benchgate fleet plan|run|status`: the suite on all kinds of machines of an inventory, on a Ray cluster."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import IO

from rich.console import Console

from benchgate.commands import merge, suite
from benchgate.commands.exits import UNUSABLE, WORSE
from benchgate.core import BenchgateError
from benchgate.core.durations import spoken
from benchgate.executors.fleet_status import Status, status
from benchgate.executors.inventory import Estimate, Inventory, Kind, estimate, read_inventory
from benchgate.pytest_plugin.stored_runs import SECONDS
from benchgate.report.escape import visible
from benchgate.report.grid import Entry, Grid, rendered
from benchgate.results import Record, ResultsError
from benchgate.results.runs import read_runs
from benchgate.storage.project import working_folder

INVENTORY = Path("fleet.toml")
HISTORY = Path(".benchmarks")
WIDE = 110
END_S = 60.0
# pytest's exit codes for tests that failed, and for none that were collected.
FAILED, NONE = 1, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, dest="do", metavar="plan|run|status")
    for name, text in (
        ("plan", "how long a run takes on each kind, and its price, by stored runs; nothing is measured"),
        ("run", "measure on all kinds at once, and merge what they measured into one file"),
        ("status", "the machines of the cluster, and what runs on them"),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument(
            "--inventory", type=Path, default=INVENTORY, metavar="FILE.toml", help=f"kinds of machines ({INVENTORY})"
        )
        if name == "run":
            verb.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.json", help="the merged results")
            verb.add_argument("--force", action="store_true", help="replace --out where it is there")
        if name != "status":
            verb.add_argument("pytest", nargs="*", metavar="-- ARGUMENT", help="arguments of pytest, after --")


def run(arguments: argparse.Namespace, console: Console) -> int:
    inventory = read_inventory(arguments.inventory)
    if arguments.do == "plan":
        return _plan(inventory, arguments.pytest, console)
    if arguments.do == "status":
        return _status(inventory, console)
    merge.check(arguments.out, arguments.force)
    return _run(inventory, arguments.pytest, arguments.out, console)


def _plan(inventory: Inventory, asked: Sequence[str], console: Console) -> int:
    found = suite.whole(asked)
    records = list(_records())
    estimates = [estimate(kind, found.chosen, records, SECONDS) for kind in inventory.kinds]
    print(rendered([plan_table(estimates, inventory.currency)], "terminal", max(console.width, WIDE)), end="")
    return UNUSABLE if found.failed else 0


def _records() -> Iterator[Record]:
    """The records of the stored runs, oldest first; none where nothing is stored."""
    with contextlib.suppress(ResultsError):
        for one in read_runs([working_folder() / HISTORY])[0]:
            yield from one.records


def plan_table(estimates: Sequence[Estimate], currency: str) -> Grid:
    """A row a kind, and what of it is not known."""
    columns = ("kind", "machines", "cells", "about", f"cost{f', {currency}' if currency else ''}")
    rows = tuple(
        (e.kind.name, e.kind.machines, e.cells, None if e.seconds is None else spoken(e.seconds), e.cost)
        for e in estimates
    )
    notes = [note for e in estimates for note in _unknown(e)]
    if times := [e.seconds for e in estimates if e.seconds is not None]:
        notes.append(f"all kinds at once: about {spoken(max(times))}; builds, and cells not known, come on top")
    return Grid("plan", columns, rows, tuple(notes))


def _unknown(one: Estimate) -> Iterator[str]:
    if one.other:
        yield f"{one.kind.name}: {one.other} of {one.cells} cells by what they took on other machines"
    if one.unknown:
        yield f"{one.kind.name}: {one.unknown} of {one.cells} cells are in no stored run; their time is not known"


def _status(inventory: Inventory, console: Console) -> int:
    found = status(_address(inventory), working_folder())
    print(rendered([status_table(found, inventory.kinds)], "terminal", max(console.width, WIDE)), end="")
    return WORSE if _short(found, inventory.kinds) else 0


def status_table(found: Status, kinds: Sequence[Kind]) -> Grid:
    """A row a machine; below it the kinds of which there are fewer machines than the inventory has."""
    rows: tuple[tuple[Entry, ...], ...] = tuple(
        (m.host, m.node[:8], "alive" if m.alive else "gone", m.measures, ", ".join(m.kinds) or None, m.cores)
        for m in found.machines
    )
    taken = f"{found.slots - found.free:g} of {found.slots:g} slots are taken"
    tasks = [f"{kind}: {count} task{'s' * (count != 1)}" for kind, count in found.running.items() if count]
    notes = ["; ".join([taken, *tasks]), *_short(found, kinds)]
    return Grid("machines", ("host", "node", "state", "measures", "kinds", "cores"), rows, tuple(notes))


def _short(found: Status, kinds: Sequence[Kind]) -> list[str]:
    there = Counter(kind for one in found.machines if one.alive and one.measures for kind in one.kinds)
    return [
        f"{kind.name}: {there[kind.name]} of {kind.machines} machines are there; start one with: ray start "
        f'--address=... --resources=\'{{"bench_slot": 1, "kind:{kind.name}": 1}}\''
        for kind in kinds
        if there[kind.name] < kind.machines
    ]


def _run(inventory: Inventory, asked: Sequence[str], out: Path, console: Console) -> int:
    """One pytest a kind, all at once: Ray places their cells. What they wrote is merged, also where tests failed."""
    address = _address(inventory)
    parts = {kind: out.with_name(f"{out.stem}.{kind.name}.json") for kind in inventory.kinds}
    codes = _codes(_commands(address, asked, parts), console)
    for kind, code in codes.items():
        console.print(visible(f"{kind}: pytest ended with {code}"), soft_wrap=True)
    there = [path for path in parts.values() if path.exists()]
    if there:
        merge.write(there, out, console)
    if any(code not in (0, FAILED, NONE) for code in codes.values()) or len(there) < len(parts):
        return UNUSABLE
    return WORSE if FAILED in codes.values() else 0


def _address(inventory: Inventory) -> str:
    if not inventory.address:
        raise BenchgateError('where is the cluster? write address = "HOST:6379" into the inventory, or set RAY_ADDRESS')
    return inventory.address


def _commands(address: str, asked: Sequence[str], parts: Mapping[Kind, Path]) -> dict[str, list[str]]:
    commands = {}
    for kind, path in parts.items():
        path.unlink(missing_ok=True)
        options = [f"--cell-executor=ray={address}", f"--cell-kind={kind.name}", f"--benchmark-json={path}"]
        commands[kind.name] = [sys.executable, "-m", "pytest", *asked, *options]
    return commands


def _codes(commands: Mapping[str, Sequence[str]], console: Console) -> dict[str, int]:
    """The exit codes by kind. Their output is printed as it comes, each line behind its kind."""
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        for kind, command in commands.items():
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace",
            )  # fmt: skip
            running[kind] = process
            Thread(target=_tell, args=(kind, process.stdout, console), daemon=True).start()
        return {kind: process.wait() for kind, process in running.items()}
    finally:
        # Ctrl-C: each of them keeps what is finished.
        for process in running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in running.values():
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _tell(kind: str, output: IO[str] | None, console: Console) -> None:
    assert output is not None
    for line in output:
        console.print(visible(f"{kind}: {line.rstrip()}"), soft_wrap=True)
