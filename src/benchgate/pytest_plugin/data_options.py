"""Fixtures of what models are scored on, as the tasks' folders state them: read before any task is imported.

A task's folder has a data.toml with a table for each fixture: `about`, `load` ("module:function") and `options`, each
with `metavar`, `help` and, for a number of items, `count = true`. The function gets the values of `--cell-<option>` by
name, and `samples`; None for what is not given.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TASKS = Path(__file__).parents[1] / "tasks"
FILE = "data.toml"


@dataclass(frozen=True)
class DataFixture:
    """One fixture, by its name: its docstring, the target that loads it, and the settings of its options."""

    name: str
    about: str
    load: str
    options: Mapping[str, Mapping[str, Any]]


def count(text: str) -> int:
    """A number of items from the command line. Raises ArgumentTypeError below 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of items; write for example 100")
    return int(text)


# Of every fixture.
SAMPLES: Mapping[str, Any] = {
    "type": count,
    "metavar": "N",
    "help": "score a seeded random sample of N items (default: 100 passages, 300 queries, all images)",
}


@cache
def data_fixtures() -> tuple[DataFixture, ...]:
    """The fixtures of all tasks' folders."""
    tables = (tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(TASKS.glob(f"*/{FILE}")))
    return tuple(DataFixture(name, **fixture) for table in tables for name, fixture in table.items())


def data_options() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(flag, settings) of each option, as argparse takes them."""
    yield "--cell-samples", SAMPLES
    for fixture in data_fixtures():
        for name, about in fixture.options.items():
            settings = {key: value for key, value in about.items() if key != "count"}
            yield f"--cell-{name}", {**settings, "type": count} if about.get("count") else settings
