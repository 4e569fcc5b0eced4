"""The machines of a Ray cluster as they are now: kinds, and how much runs on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.executors.fleet import KIND, SHARE, SLOT, Wanted, attached


@dataclass(frozen=True)
class Machine:
    """A node: `kinds` that it has, and whether it may measure."""

    host: str
    node: str
    alive: bool
    measures: bool
    kinds: tuple[str, ...]
    cores: float


@dataclass(frozen=True)
class Status:
    """All nodes, the slots of those that measure, and the tasks that run or wait to be placed, by kind."""

    machines: tuple[Machine, ...]
    slots: float
    free: float
    running: Mapping[str, int]


def status(address: str, project: Path) -> Status:
    """Return the state of the cluster there. Raises as `fleet.connected`."""
    with attached(Wanted(address, "", project)) as ray:
        return state_of(ray.nodes(), ray.cluster_resources(), ray.available_resources())


def state_of(nodes: Sequence[Mapping[str, Any]], total: Mapping[str, float], available: Mapping[str, float]) -> Status:
    """Return the state by what Ray says of nodes and resources. Each task of a kind has a share of its resource."""
    running = {
        name.removeprefix(KIND): round((there - available.get(name, 0.0)) / SHARE)
        for name, there in total.items()
        if name.startswith(KIND)
    }
    machines = tuple(sorted(map(_machine, nodes), key=lambda one: (one.host, one.node)))
    return Status(machines, total.get(SLOT, 0.0), available.get(SLOT, 0.0), dict(sorted(running.items())))


def _machine(node: Mapping[str, Any]) -> Machine:
    has: Mapping[str, float] = node.get("Resources", {})
    kinds = tuple(sorted(name.removeprefix(KIND) for name in has if name.startswith(KIND)))
    return Machine(
        str(node["NodeManagerHostname"]), str(node["NodeID"]), bool(node["Alive"]), has.get(SLOT, 0) >= 1,
        kinds, has.get("CPU", 0.0),
    )  # fmt: skip
