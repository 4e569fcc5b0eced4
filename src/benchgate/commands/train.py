"""`benchgate train`: a model of this project trained into the cache; progress, and the table at the end."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchgate.commands import choosing, suite
from benchgate.core import BenchgateError
from benchgate.core.units import human
from benchgate.machine.devices import devices
from benchgate.trainer import history
from benchgate.trainer.budget import planned
from benchgate.trainer.distillation import WAYS, Teaching
from benchgate.trainer.kept import read_report
from benchgate.trainer.recipe import Schedule
from benchgate.trainer.sweep import STEPS, Speed, measure
from benchgate.trainer.train import Changes, Watch, train

_SETTINGS = {"--temperature": "temperature", "--soft-weight": "weight"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="rewrite-t5, rewrite-lstm, rewrite-smollm2, your own, or a new name with --base"
    )
    choosing.add_arguments(parser)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="batches to train on (default: the model's recipe)")
    length.add_argument("--epochs", type=float, metavar="N", help="passes over the training split instead of --steps")
    length.add_argument("--minutes", type=float, metavar="N", help="as many steps as fit, by a measurement before")
    parser.add_argument("--batch", type=int, metavar="N", help="examples a step")
    parser.add_argument("--lr", type=float, metavar="X", help="highest learning rate")
    parser.add_argument("--seed", type=int, metavar="N", help="of weights and order")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda or mps (default: cpu; with --sweep: all there are)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for the loss curve (default: training/MODEL)")
    parser.add_argument("--teacher", metavar="MODEL", help="a trained model to learn from")
    parser.add_argument(
        "--distill", choices=list(WAYS), help="from the teacher's probabilities (soft, the default) or its answers"
    )
    parser.add_argument("--temperature", type=float, metavar="T", help="of soft targets (default: 2)")
    parser.add_argument(
        "--soft-weight", type=float, metavar="W", help="share of the soft targets in the loss (default: 0.9)"
    )
    parser.add_argument(
        "--sweep", metavar="N,N,...", help="train nothing: measure steps (--steps; 20) at each of these batches"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace, console: Console) -> int:
    suite.load(choosing.names(arguments), [arguments.device])
    model, teaching = choosing.trainable(arguments), _teaching(arguments)
    changes = Changes(
        arguments.steps,
        arguments.epochs,
        arguments.batch,
        arguments.lr,
        arguments.seed,
        lora=arguments.lora,
        precision=arguments.precision,
        checkpointing=arguments.checkpointing or None,
    )
    if arguments.sweep is not None:
        here = [device.name for device in devices.values() if device.missing() is None]
        on = [arguments.device] if arguments.device else here
        # The steps that are timed; the recipe keeps its own, and its learning rates.
        timed = replace(changes, steps=None)
        speeds = measure(model, timed, _batches(arguments.sweep), on, _at_least_one(arguments.steps, STEPS))
        _print(console, [speed.as_dict() for speed in speeds], arguments.json, _SWEEP_NOTE)
        return 0
    tested = choosing.held_out(model)
    if arguments.minutes is not None:
        print(f"benchgate: measuring how many steps fit into {arguments.minutes:g} minutes", file=sys.stderr)
        changes = planned(model, changes, arguments.device or "cpu", arguments.minutes)
        print(f"benchgate: {changes.steps} steps", file=sys.stderr)
    with _progress(model.name) as watch:
        folder = train(model, changes, arguments.device or "cpu", watch, teaching)
    report = read_report(folder)
    speed = Speed.of_run(report)
    out = arguments.out or Path("training") / model.name
    for path in (*_curve(report, out), *choosing.write_held_out(tested, out)):
        print(f"benchgate: {path}", file=sys.stderr)
    _print(console, [speed.as_dict() | _outcome(report, folder)], arguments.json, _outcome_line(report, folder))
    return 0


def _teaching(arguments: argparse.Namespace) -> Teaching | None:
    """The teacher that was asked for. Raises BenchgateError for options that do not belong together."""
    numbers = {"--temperature": arguments.temperature, "--soft-weight": arguments.soft_weight}
    soft = {option: value for option, value in numbers.items() if value is not None}
    given = [*(["--distill"] if arguments.distill else []), *soft]
    if arguments.teacher is None:
        if given:
            raise BenchgateError(f"{given[0]} is for learning from another model; name it: --teacher MODEL")
        return None
    if arguments.sweep is not None:
        raise BenchgateError("--sweep measures training without a teacher; leave out --teacher")
    if soft and arguments.distill == "sequence":
        raise BenchgateError(f"{next(iter(soft))} is for soft targets; leave it out, or write --distill soft")
    settings = {_SETTINGS[option]: value for option, value in soft.items()}
    return WAYS[arguments.distill or "soft"](choosing.teacher(arguments.teacher), **settings)


def _at_least_one(steps: int | None, default: int) -> int:
    if steps is not None and steps < 1:
        raise BenchgateError(f"--steps {steps} must be above 0")
    return default if steps is None else steps


def _batches(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise BenchgateError(f"--sweep {text}: whole numbers above 0 with commas between them are needed, as 16,64,256")
    return found


@contextlib.contextmanager
def _progress(title: str) -> Iterator[Watch]:
    """A bar on standard error; where that is no terminal, a line after each evaluation."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task(f"{title}: data and tokenizer", total=None)
        seen: int | None = None

        def watch(recipe: Schedule, state: Any) -> None:
            nonlocal seen
            if seen is None and state.step > 1:
                bars.console.print(f"{title}: going on after step {state.step - 1}", markup=False)
            if seen is not None and len(state.rows) > seen and state.rows[-1].dev_loss is not None:
                bars.console.print(_told(title, recipe, state.rows[-1]), markup=False, soft_wrap=True)
            seen = len(state.rows)
            loss = f" loss {state.rows[-1].loss:.3f}" if state.rows else ""
            bars.update(task, completed=state.step, total=recipe.steps, description=f"{title}{loss}")

        yield watch


def _told(title: str, recipe: Schedule, row: history.Row) -> str:
    return (
        f"{title}: step {row.step}/{recipe.steps}, loss {row.loss:.3f}, dev loss {row.dev_loss:.3f}, "
        f"dev exact match {row.dev_exact_match:.3f}, {row.step / row.seconds:.1f} steps/s"
    )


def _curve(report: dict[str, Any], out: Path) -> Iterator[Path]:
    """Write the loss curve as CSV and, with matplotlib, as a picture."""
    rows = [history.Row(**row) for row in report["rows"]]
    history.write_csv(rows, out / "loss.csv")
    yield out / "loss.csv"
    try:
        history.draw(rows, out / "loss.svg", f"{report['model']} {report['version']}")
    except BenchgateError as error:
        print(f"benchgate: no picture: {error}", file=sys.stderr)
    else:
        yield out / "loss.svg"


_SWEEP_NOTE = "Each row is a fresh process; the epoch time is estimated from the steps that were timed."


def _outcome(report: dict[str, Any], folder: Path) -> dict[str, Any]:
    names = ("version", "parameters", "best_step", "dev_exact_match", "dev_samples", "seconds")
    return {name: report[name] for name in names} | {"distillation": report.get("distillation"), "folder": str(folder)}


def _outcome_line(report: dict[str, Any], folder: Path) -> str:
    return (
        f"{report['model']} {report['version']}{_taught(report)}: {report['parameters']:,} parameters, dev exact match "
        f"{report['dev_exact_match']:.3f} (n={report['dev_samples']}) at step {report['best_step']}, "
        f"{human(report['seconds'], 's')} of training\n{folder}"
    )


def _taught(report: dict[str, Any]) -> str:
    taught = report.get("distillation")  # reports of before there were teachers have none
    return "" if taught is None else f", taught by {taught['teacher']} {taught['version']} ({taught['way']})"


def _print(console: Console, rows: Sequence[dict[str, Any]], as_json: bool, note: str) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("model", "device"):
        table.add_column(column, no_wrap=True)
    for column in ("batch size", "steps/s", "epoch time", "peak memory", "memory pressure"):
        table.add_column(column, justify="right")
    table.add_column("status")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    # The same for all rows: they are of one command.
    if settings := rows[0]["settings"]:
        console.print(f"Trained: {settings}.")
    console.print(note, soft_wrap=True)


def _cells(row: dict[str, Any]) -> list[str]:
    peak, memory = row["peak_bytes"], row["memory_bytes"]
    return [
        row["model"],
        row["device"],
        str(row["batch"]),
        _shown(row["steps_per_s"], lambda value: f"{value:.3g}"),
        _shown(row["epoch_s"], lambda value: human(value, "s")),
        _shown(peak, lambda value: human(value, "B")),
        "-" if peak is None or memory is None else f"{peak / memory:.1%}{_pressed(row)}",
        row["status"],
    ]


def _pressed(row: dict[str, Any]) -> str:
    """Signs that memory was short: what was swapped out, and page faults that waited for a disk. "" without any."""
    swap, faults = row["swap_bytes"], row["major_faults"]
    return (f", {human(swap, 'B')} swapped" if swap else "") + (f", {faults:,} major faults" if faults else "")


def _shown(value: float | None, form: Callable[[float], str]) -> str:
    return "-" if value is None else form(value)
