"""One test's question to its cell, kept: it can be built, weighed, proved and timed by workers afterwards."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle

from benchgate.core import all_needs, operations
from benchgate.core.protocols import Describes
from benchgate.executors import inside
from benchgate.executors.local import Local
from benchgate.executors.team import CellTeam, loaded, loaded_call
from benchgate.executors.wire import Asked
from benchgate.gate.side_by_side import proof
from benchgate.gate.side_by_side.pairs import Started
from benchgate.gate.side_by_side.proof import Proof
from benchgate.gate.side_by_side.timed import Begun, Block, Prepared
from benchgate.gate.side_by_side.workloads import How
from benchgate.machine.packages import versions
from benchgate.measuring import run as running
from benchgate.measuring.held import Held
from benchgate.measuring.meters import meters as all_meters
from benchgate.measuring.resolved import Resolved
from benchgate.measuring.timing import Loop
from benchgate.storage.artifacts import content

HASHES = "PYTHONHASHSEED"


class Captured:
    """One test's cell and what is asked of it. `files` are the test's own modules, whose content belongs to the proof.

    `workers` are those that run, by number.
    """

    def __init__(self, order: running.Order, local: Local, files: Mapping[str, str]) -> None:
        self._order, self._local, self._files = order, local, files
        self._load = partial(loaded_call, order.of, order.operation, order.params, order.inputs, order.threads)
        self._team = CellTeam(local, order.of, self._load)
        self.workers: dict[int, Started] = {}

    def asked(self) -> Asked:
        """The request as both sides must have it."""
        order = self._order
        return Asked(
            cell=asdict(order.of.cell),
            operation=order.operation or next(iter(operations(order.of.task))),
            params=dict(order.shown),
            threads=order.threads,
            inputs=described(order.inputs),
            data=described(order.data) if order.scored else None,
            scored=order.scored,
        )

    def build(self) -> None:
        """Have the artifact built where it is not. Raises what building raises."""
        self._local.build(self._order.of)

    def prove(self, root: Path) -> Proof:
        """The proof of what one call runs: modules below `root`, the artifact, packages, threads and kernels."""
        order = self._order
        with self._local.worker(order.of) as worker:
            found: Proof = worker.call(
                inside.run_alone,
                self._local.now(),
                _proved,
                (order.of, order.operation, order.params, order.inputs, order.threads, root),
            )
        # Every worker is sent the modules of all tests; this cell's are its own.
        top = root.resolve()
        sent = {file.relative_to(top).as_posix() for file in self._local.shared() if file.is_relative_to(top)}
        loaded = {name: digest for name, digest in found.modules.items() if name not in sent}
        return replace(found, modules=dict(sorted({**loaded, **self._files}.items())))

    def record(self, meters: Sequence[str]) -> dict[str, Any]:
        """A record without times: what these meters give, and the accuracy where the test scores it."""
        order = self._order
        known = {name: all_meters[name] for name in meters if name in order.meters}
        place = self._local.place(order.of, Held())
        try:
            record, _ = running.measure(place, replace(order, meters=known, rounds=Loop()))
        finally:
            place.close()
        return record.as_dict()

    def begin(self, worker: int, timeout_s: float, slow: tuple[float, How] | None = None) -> Begun:
        started = self.workers[worker] = self._team.worker(slow)
        return started.begin(timeout_s)

    def block(self, worker: int, seconds: float, cpus: frozenset[int] | None, timeout_s: float) -> Block:
        return self.workers[worker].block(seconds, cpus, timeout_s)

    def end(self, worker: int) -> None:
        if worker in self.workers:
            self.workers.pop(worker).close()

    def renew(self, hashes: int | None) -> None:
        """End the zygotes; those that follow have these hashes of Python's, both sides the same."""
        self._team.renew()
        if hashes is not None:
            os.environ[HASHES] = str(hashes)

    def close(self) -> None:
        for worker in list(self.workers):
            self.end(worker)
        self._team.close()


def described(thing: Any) -> Any:
    """A description of data or inputs, as JSON: their own description, else a hash of them; None for none."""
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, Describes):
        return {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in thing.describe().items()
        }
    return {"type": type(thing).__name__, "sha256": hashlib.sha256(cloudpickle.dumps(thing)).hexdigest()}


def _proved(
    of: Resolved, operation: str | None, params: Mapping[str, Any], inputs: Any, threads: int, root: Path
) -> Proof:
    """Runs in a worker: load, call once, and tell what that took."""
    cell, call = loaded(of, operation, params, inputs, threads)
    if isinstance(call, Prepared):
        if call.prepare is not None:
            call.prepare()
        call = call.call
    call()
    facts = {"threads": str(threads), **{f"kernel {name}": str(value) for name, value in cell.session.kernel.items()}}
    artifacts = {str(of.cell): content(cell.path)}
    return replace(proof.loaded(root), artifacts=artifacts, packages=versions(all_needs(of.runtime)), facts=facts)
