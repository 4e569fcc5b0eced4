"""`benchgate merge`: what several environments or machines measured, as one results file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchgate.core import BenchgateError
from benchgate.report.escape import visible
from benchgate.results.merging import merge
from benchgate.storage.whole import write_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="JSON of `pytest --benchmark-json`")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.json", help="write the document there")
    parser.add_argument("--newest", action="store_true", help="of a cell measured twice on one machine the newest")
    parser.add_argument("--force", action="store_true", help="replace --out where it is there")


def run(arguments: argparse.Namespace, console: Console) -> int:
    check(arguments.out, arguments.force)
    write(arguments.files, arguments.out, console, arguments.newest)
    return 0


def check(out: Path, force: bool) -> None:
    """Raise BenchgateError where the file is there and shall not be replaced."""
    if out.exists() and not force:
        raise BenchgateError(f"{out}: is there already; give --out another place, or --force to replace it")


def write(files: Sequence[Path], out: Path, console: Console, newest: bool = False) -> None:
    """Write the document, whole or not at all."""
    merged = merge(files, newest)
    try:
        write_whole(out, json.dumps(merged.document, indent=1) + "\n")
    except OSError as error:
        raise BenchgateError(f"cannot write {out}: {error.strerror}; give --out another place") from error
    for note in merged.notes:
        console.print(visible(note), soft_wrap=True)
    timed, untimed = len(merged.document["benchmarks"]), len(merged.document["benchgate"]["untimed"])
    console.print(visible(f"{out}: {timed} timed, {untimed} not, of {len(files)} files"), soft_wrap=True)
