"""Artifacts in a cluster's object store, in chunks, for machines that share no folder: what one built others take.

A `Shelf` is an actor of Ray beside the driver, so that what it holds outlives the machine that built it; Ray spills to
disk what memory does not hold. `OnShelf` is it as a store.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHUNK = 32 << 20
POLL_S = 1.0
# The longest that a machine waits for another one's build before it builds itself.
WAIT_S = 1800.0


class Shelf:
    """Parcels by name, and who builds those that are not there. `alive` has the ids of the nodes that are."""

    def __init__(self, put: Callable[[bytes], Any], alive: Callable[[], set[str]]) -> None:
        self._put, self._alive = put, alive
        self._chunks: dict[str, list[Any]] = {}
        self._whole: set[str] = set()
        self._builders: dict[str, str] = {}

    def claim(self, name: str, node: str) -> list[Any] | str:
        """The parcel's chunks; "build" where this node shall make it, "wait" where another one that is alive does."""
        if name in self._whole:
            return self._chunks[name]
        holder = self._builders.get(name)
        if holder not in (None, node) and holder in self._alive():
            return "wait"
        self._builders[name] = node
        self._chunks[name] = []
        return "build"

    def add(self, name: str, node: str, chunk: bytes) -> None:
        """Keep the next chunk of the parcel that this node builds."""
        if self._builders.get(name) == node:
            self._chunks[name].append(self._put(chunk))

    def close(self, name: str, node: str, whole: bool) -> None:
        """The node is done with the parcel: it is whole, or another one shall build it."""
        if self._builders.get(name) == node:
            del self._builders[name]
            if whole:
                self._whole.add(name)
            else:
                del self._chunks[name]


def of_ray(ray: Any) -> Any:
    """The handle of a new shelf, on the driver's machine where that takes actors."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def alive() -> set[str]:
        return {node["NodeID"] for node in ray.nodes() if node["Alive"]}

    beside = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(Shelf).options(num_cpus=0, scheduling_strategy=beside).remote(ray.put, alive)


class OnShelf:
    """A shelf as the store of one node."""

    def __init__(self, ray: Any, handle: Any, node: str) -> None:
        self._ray, self._handle, self._node = ray, handle, node

    def get(self, name: str, file: Path) -> bool:
        """Write the parcel to `file`, as soon as who builds it is done; False where this node shall build it.

        Raises OSError where the shelf, or a chunk, is gone.
        """
        end = time.monotonic() + WAIT_S
        while (found := self._ask("claim", name, self._node)) == "wait" and time.monotonic() < end:
            time.sleep(POLL_S)
        if isinstance(found, str):
            return False
        with file.open("wb") as out:
            for chunk in found:
                out.write(self._value(chunk))
        return True

    def put(self, name: str, file: Path) -> None:
        """Have the parcel on the shelf. Raises OSError where it, or the room in it, is gone."""
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                self._ask("add", name, self._node, chunk)
        self._ask("close", name, self._node, True)

    def give_up(self, name: str) -> None:
        """Let another node build it."""
        self._ask("close", name, self._node, False)

    def _ask(self, what: str, *arguments: Any) -> Any:
        return self._value(getattr(self._handle, what).remote(*arguments))

    def _value(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise OSError(f"the cluster's object store: {type(error).__name__}") from error
