"""Accuracy: scored whole where the cell is held, or made of what shards on other machines answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchgate.core import BenchgateError, all_needs
from benchgate.core.protocols import Describes, NeedsData
from benchgate.core.shards import Answers, ScoresInParts, Shard
from benchgate.machine.devices import devices
from benchgate.machine.fingerprint import fingerprint
from benchgate.machine.packages import versions
from benchgate.measuring.held import Held
from benchgate.measuring.meters.base import Reading
from benchgate.measuring.phase import enter
from benchgate.measuring.resolved import Loaded, Resolved
from benchgate.storage.artifacts import content
from benchgate.storage.describing import digest
from benchgate.storage.sources import sources

MACHINE = ("system", "arch", "cpu")


@dataclass(frozen=True)
class Part:
    """The answers to some or all items, and what decided them (`about`): parts of one whole have the same."""

    about: Mapping[str, Any]
    answers: Answers


def part(held: Held, of: Resolved, threads: int, data: Any, shard: Shard) -> Part:
    """Return the answers of a cell to one shard of `data`. Runs where the cell is to be held.

    Raises BenchgateError for a task that is scored as a whole only.
    """
    loaded = held.load(of, threads)
    task = of.task
    if not isinstance(task, ScoresInParts):
        raise BenchgateError(f"{task.name} has no answers and summed: its data are scored as a whole")
    enter(f"score shard {shard.number + 1} of {shard.of}")
    return Part(about(loaded, data), task.answers(loaded.session, of.model, data, shard))


def about(loaded: Loaded, data: Any) -> dict[str, Any]:
    """All that decides the answers of a loaded cell to `data`, as JSON holds it."""
    of = loaded.of
    described = data.describe() if isinstance(data, Describes) else {}
    return {
        "cell": asdict(of.cell),
        "version": of.model.version,
        "content": content(loaded.path),
        "threads": str(loaded.threads),
        "packages": dict(versions(all_needs(of.runtime))),
        "machine": _deciding(of.cell.device),
        "way": of.way,
        "sources": digest(dict(sources([type(of.task).__module__, type(of.runtime).__module__])))[:12],
        "data": {name: str(value) for name, value in described.items()},
    }


def _deciding(device: str) -> dict[str, str]:
    """The parts of a machine that decide which kernels run: with others the last digits are others."""
    known = fingerprint(device)
    return {name: str(known[name]) for name in (*MACHINE, *devices[device].fingerprint())}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """`other content: a -> b; ...` of two parts that are not of one whole, "" where they are."""
    names = [name for name in ours if theirs.get(name) != ours[name]]
    return "; ".join(f"other {name}: {theirs.get(name)} -> {ours[name]}" for name in names)


def fits(given: Part, loaded: Loaded, data: Any) -> bool:
    """True for answers of this loaded cell to these data."""
    return not differences(given.about, about(loaded, data))


def accuracy(loaded: Loaded, data: Any, given: Part | None = None) -> Reading:
    """Return the accuracy of the loaded cell on `data`, by the answers that are given where there are some.

    Raises BenchgateError for answers of another model, other data or other packages.
    """
    enter("score")
    task = loaded.of.task
    if data is None and isinstance(task, NeedsData):
        return Reading(missing=dict(task.without_data))
    if given is None or not isinstance(task, ScoresInParts):
        return Reading(metrics=dict(task.score(loaded.session, loaded.of.model, data)))
    if differs := differences(given.about, about(loaded, data)):
        raise BenchgateError(f"its shards were scored with something else than what is timed: {differs}")
    return Reading(metrics=dict(task.summed(loaded.session, loaded.of.model, data, given.answers)))
