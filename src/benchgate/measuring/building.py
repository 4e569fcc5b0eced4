"""Building a model's artifacts ahead of measuring: every cell that makes sense, into the cache; and, for text2text,
whether the built cells say what fp32 on eager torch says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, Cell, Unavailable, models, runtimes, schemes
from benchgate.measuring.matrix import expand
from benchgate.measuring.resolved import resolve
from benchgate.schemes import REFERENCE
from benchgate.storage.artifacts import artifact_bytes, prepared
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.tasks.text2text.task import Text2TextTask, ask

BEAMS = 4


@dataclass(frozen=True)
class Difference:
    """One query that two cells reformulate differently."""

    query: str
    expected: str
    found: str
    beams: int


@dataclass(frozen=True)
class Agreement:
    """How many of `total` queries got the reference's text, greedily and with BEAMS beams, and those that did not."""

    total: int
    greedy: int
    beams: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Built:
    """One cell: its artifact (None where `reason` says why there is none), `seconds` None where it was in the cache.

    `failed` tells a build that broke from a cell that cannot be had here.
    """

    cell: Cell
    path: Path | None = None
    size_bytes: int = 0
    seconds: float | None = None
    reason: str = ""
    failed: bool = False
    agreement: Agreement | None = None


def plan(model: str, of_schemes: Sequence[str], of_runtimes: Sequence[str]) -> tuple[list[Cell], Counter[str]]:
    """The cells of `model` on the CPU, and how many combinations make no sense, by reason; all names where none given.

    Raises UnknownName for a name in no registry.
    """
    _ = models[model]
    axes = {
        "model": (model,),
        "scheme": tuple(of_schemes) or tuple(schemes),
        "runtime": tuple(of_runtimes) or tuple(runtimes),
        "device": ("cpu",),
    }
    matrix = expand(axes, {})
    return list(matrix.cells), Counter(item.reason for item in matrix.left_out)


def build(cell: Cell) -> Built:
    """Build or reuse the cell's artifact. An error of ours becomes the reason; others are defects and rise."""
    resolved = resolve(cell)
    if reason := resolved.missing():
        return Built(cell, reason=reason)
    try:
        made = prepared(resolved.model, resolved.scheme, resolved.runtime, cell.device)
    except Unavailable as unavailable:
        return Built(cell, reason=str(unavailable))
    except BenchgateError as error:
        return Built(cell, reason=str(error), failed=True)
    return Built(cell, made.path, artifact_bytes(made.path), made.seconds)


def check(found: Sequence[Built], data: Rewrites) -> Iterator[Built]:
    """Each built cell with its agreement with fp32 on eager torch, query by query at batch 1.

    Raises BenchgateError for a model of another task.
    """
    model: Any = models[found[0].cell.model] if found else None
    if model is not None and model.task != Text2TextTask.name:
        raise BenchgateError(f"--check compares reformulations; {model.name} is for {model.task}")
    expected = None
    for built in found:
        if built.path is None:
            yield built
            continue
        if expected is None:
            expected = answers(replace(built.cell, **REFERENCE), data)
        yield replace(built, agreement=agreement(data, expected, answers(built.cell, data)))


def answers(cell: Cell, data: Rewrites) -> dict[int, list[str]]:
    """The text for each query, by number of beams."""
    loaded = resolve(cell).load(threads=1)
    session: Any = loaded.session
    model: Any = loaded.of.model
    try:
        return {beams: [answer.text for answer in ask(session, model, data, beams)] for beams in (1, BEAMS)}
    finally:
        session.close()


def agreement(data: Rewrites, expected: Mapping[int, list[str]], found: Mapping[int, list[str]]) -> Agreement:
    differences = [
        Difference(item.query, wanted, given, beams)
        for beams, texts in expected.items()
        for item, wanted, given in zip(data, texts, found[beams], strict=True)
        if wanted != given
    ]
    counts = Counter(difference.beams for difference in differences)
    return Agreement(len(data), len(data) - counts[1], len(data) - counts[BEAMS], tuple(differences))
