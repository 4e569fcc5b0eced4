"""Machines of a Ray cluster for the tests of one run: each measures one cell at a time.

Ray places the work, by resources: a node that measures was started with `--resources='{"bench_slot": 1}'`, and one of a
kind has `"kind:NAME": 1` beside it. What is lost with its node or process is begun anew, on a node that Ray chooses.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, Unavailable
from benchgate.executors.shelf import of_ray
from benchgate.machine.packages import missing_packages
from benchgate.storage import shared

SLOT, KIND = "bench_slot", "kind:"
# A part of a kind's resource: so many cells may ask for it as there are slots.
SHARE = 0.001
NEEDS = {"ray": "ray"}
# Times that one test is begun before it counts as failed.
ATTEMPTS = 3
POLL_S = 1.0
KNOCK_S = 5.0
HOLD_S = 60.0
# The least that Ray takes for objects; answers are small.
STORE_BYTES = 100 * 2**20
# Variables of the driver that a node's session has too.
PASSED_ON = ("BENCHGATE_*", "HF_*", "OMP_*", "PYTEST_*")
# Ray's processes run at nice 15 where nothing is said, and whatever else runs there would go before what is timed.
PRIORITY = {"RAY_worker_niceness": "0"}
# Not sent to other machines with the project.
LEFT_OUT = (".git", ".tox", ".venv", ".benchmarks", "node_modules", "__pycache__")
START = """start a node with: ray start --address=HEAD:6379 --resources='{"bench_slot": 1}'"""


@dataclass(frozen=True)
class Wanted:
    """Machines that are wanted: `address` as `ray.init` takes it (None: one of this machine alone), `kind` of node ("":
    any), `project` the folder that other machines are sent, `pass_env` patterns of more variables that they have.

    `packages` are requirements by who installs them there (pip, uv), into an environment of the run on top of theirs.
    """

    address: str | None
    kind: str
    project: Path
    pass_env: tuple[str, ...] = ()
    packages: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def resources(self) -> dict[str, float]:
        """The resources of what takes a whole node."""
        return {SLOT: 1.0, **({KIND + self.kind: SHARE} if self.kind else {})}

    @property
    def environment(self) -> dict[str, str]:
        patterns = (*PASSED_ON, *self.pass_env)
        own = {name: value for name, value in os.environ.items() if any(fnmatchcase(name, one) for one in patterns)}
        return {**own, **PRIORITY}


@dataclass
class Job:
    """Something of a test that is away: which attempt this is, and why those before came to nothing. `share` is what it
    takes of a node's slot: what is timed takes all of it, and nothing is beside it."""

    test: str
    argument: Any
    share: float = 1.0
    attempt: int = 1
    lost: list[str] = field(default_factory=list)


class Fleet:
    """A connected cluster, whose jobs are away until `answers` has them. `shelf` is the handle of `shelf.Shelf`."""

    def __init__(self, ray: Any, wanted: Wanted, shelf: Any = None) -> None:
        self._ray, self._wanted, self.shelf = ray, wanted, shelf
        self._jobs: dict[Any, Job] = {}
        self._function: Any = None
        # What keeps the slots of nodes that are left out, by the node's id.
        self._holding: dict[str, Any] = {}

    def nodes(self) -> list[Mapping[str, Any]]:
        """The nodes that are alive, not left out, and may measure what is wanted."""
        wanted = self._wanted.resources
        alive = (node for node in self._ray.nodes() if node["Alive"] and node["NodeID"] not in self._holding)
        return [node for node in alive if all(node["Resources"].get(name, 0) >= n for name, n in wanted.items())]

    def leave_out(self, node: str) -> bool:
        """Have nothing more placed on the node of this id, by keeping its slot taken; False for the last one."""
        if node in self._holding or all(other["NodeID"] == node for other in self.nodes()):
            return False
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=False)
        hold = self._ray.remote(_hold).options(
            num_cpus=0, resources=self._wanted.resources, max_retries=0, scheduling_strategy=there
        )
        self._holding[node] = hold.remote()
        return True

    def _readmit(self) -> None:
        """Take the nodes back that were left out."""
        for reference in self._holding.values():
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.cancel(reference, force=True)
        self._holding.clear()

    def lacking(self) -> str:
        """Why nothing can be placed; "" where something can."""
        if self.nodes():
            return ""
        kinds = sorted(name.removeprefix(KIND) for name in self._ray.cluster_resources() if name.startswith(KIND))
        of_kind = (
            f" of kind {self._wanted.kind!r} (there are: {', '.join(kinds) or 'none'})" if self._wanted.kind else ""
        )
        return f"no node{of_kind} has {SLOT}; {START}"

    def send(self, function: Callable[[Any], Any], job: Job) -> None:
        """Have `function(job.argument)` called on a node that has nothing else to measure."""
        if self._function is None:
            self._function = self._ray.remote(function)
        resources = {**self._wanted.resources, SLOT: job.share}
        remote = self._function.options(num_cpus=0, resources=resources, max_retries=0, name=job.test)
        self._jobs[remote.remote(job.argument)] = job

    def answers(self, function: Callable[[Any], Any]) -> Iterator[tuple[Job, Any]]:
        """Yield each job and its answer as it comes, an exception where there is none after all attempts."""
        while self._jobs:
            # All that come within a second: each wait looks at all that are away, thousands in a large run.
            away = list(self._jobs)
            done, _ = self._ray.wait(away, num_returns=len(away), timeout=POLL_S)
            for reference in done:
                job = self._jobs.pop(reference)
                answer = self._answer(reference)
                if isinstance(answer, Lost) and job.attempt < ATTEMPTS:
                    self.send(function, replace(job, attempt=job.attempt + 1, lost=[*job.lost, str(answer)]))
                else:
                    yield job, answer
            if not done and self._holding and self.lacking():
                # Times that are marked are better than none.
                self._readmit()
            if not done and (reason := self.lacking()):
                for reference in list(self._jobs):
                    yield self._jobs.pop(reference), Lost(f"it can be placed nowhere any more: {reason}")

    def _answer(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            cause = error.cause
            return cause if isinstance(cause, Lost) else BenchgateError(f"its node cannot run it: {_last_line(error)}")
        except errors.RuntimeEnvSetupError as error:
            return BenchgateError(f"its node cannot install what it needs: {_last_line(error)}")
        except errors.RayError as error:
            return Lost(f"{type(error).__name__}: {_first_line(error)}")

    def cancel(self) -> None:
        """Give up what is away."""
        for reference in self._jobs:
            # It may be done, or gone, already.
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.cancel(reference, force=True)
        self._jobs.clear()
        self._readmit()


def _hold() -> None:
    """Runs on a node that is left out, until it is cancelled."""
    while True:
        time.sleep(HOLD_S)


class Lost(BenchgateError):
    """A test that was away is gone with its node or process; it may be begun anew."""


@contextlib.contextmanager
def connected(wanted: Wanted) -> Iterator[Fleet]:
    """Yield the cluster; one that was started for this is ended afterwards, what is away is given up.

    Raises Unavailable without Ray, BenchgateError where nobody answers, versions differ or nothing could be placed.
    """
    with attached(wanted) as ray:
        fleet = Fleet(ray, wanted)
        if any(node["NodeManagerHostname"] != socket.gethostname() for node in fleet.nodes()):
            # Ray takes a folder to send when it is connected, and only then it is known if there is need.
            ray.shutdown()
            _begin(ray, wanted, {"working_dir": str(wanted.project), "excludes": list(LEFT_OUT)})
            fleet.shelf = None if os.environ.get(shared.WHERE) else of_ray(ray)
        if reason := fleet.lacking():
            raise BenchgateError(f"--cell-executor ray: {reason}")
        try:
            yield fleet
        finally:
            fleet.cancel()


@contextlib.contextmanager
def attached(wanted: Wanted) -> Iterator[Any]:
    """Yield Ray's module, connected; see `connected`."""
    if reason := missing_packages(NEEDS):
        raise Unavailable(f"--cell-executor ray: {reason}")
    import ray

    if ray.is_initialized():
        raise BenchgateError("this process is connected to a Ray cluster already; ray.shutdown() first")
    _begin(ray, wanted, {})
    try:
        yield ray
    finally:
        ray.shutdown()


def _begin(ray: Any, wanted: Wanted, sent: Mapping[str, Any]) -> None:
    address = wanted.address
    settings = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": wanted.environment, **wanted.packages, **sent},
    }
    if address is None:
        ray.init("local", resources={SLOT: 1.0}, object_store_memory=STORE_BYTES, include_dashboard=False, **settings)
        return
    _knock(address)
    try:
        ray.init(address, **settings)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise BenchgateError(f"--cell-executor ray={address}: {_first_line(error)}") from error


def _knock(address: str) -> None:
    """Raise BenchgateError where nobody listens: Ray itself tries for a minute."""
    place = address.removeprefix("ray://")
    host, colon, port = place.rpartition(":")
    if address == "auto":
        return
    if not (colon and host and port.isdigit()):
        raise BenchgateError(f"--cell-executor ray={address}: HOST:PORT, ray://HOST:PORT or auto is needed")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise BenchgateError(
            f"--cell-executor ray={address}: nobody answers there ({error}); ray start --head starts a cluster"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
