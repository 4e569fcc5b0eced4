"""The pytest of a node, started and asked by a process of Ray's there; see `pytest_plugin.node` for its inside."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchgate.executors.fleet import Lost
from benchgate.executors.peer import Peer, Start
from benchgate.executors.shelf import OnShelf
from benchgate.executors.wire import SideError, value_of
from benchgate.pytest_plugin import passed_on
from benchgate.storage.checkout import Tree
from benchgate.storage.shared import fetch, publish

NODE = "benchgate.pytest_plugin.node"
# Errands that load a model.
LOADS = ("shard", "run")


@dataclass(frozen=True)
class NodePytest:
    """A pytest as it is started on a node: the driver's arguments, its folder in the project `root`, its variables.

    `host` is the driver's: another machine has a copy of the project, in the folder that its process is in.
    """

    arguments: tuple[str, ...]
    root: str
    inside: str
    environment: tuple[tuple[str, str], ...]
    host: str

    def start(self) -> Start:
        ours = Tree(Path(self.root), "the driver's")
        here = ours if self.host == socket.gethostname() else Tree(Path.cwd(), "the node's copy")
        given = passed_on.arguments(self.arguments, ours, here, ours.root / self.inside)
        moved = {name: value.replace(str(ours.root), str(here.root)) for name, value in self.environment}
        asked = [*given, "--cell-executor=process", "--cell-kind=", "--cell-shards=1"]
        return Start("node", sys.executable, here.root / self.inside, asked, moved, (NODE, "--cell-node"))


@dataclass(frozen=True)
class Errand:
    """A request to a node's pytest: what to `do` with which test, and the other parts of the request.

    `shelf` is Ray's handle of the artifacts that other nodes built, None where the machines share a folder.
    """

    pytest: NodePytest
    do: str
    test: str
    parts: Mapping[str, Any] = field(default_factory=dict)
    shelf: Any = None


# Of one of Ray's processes on a node: it lives on for the errands that come after.
_sessions: dict[NodePytest, Peer] = {}


def on_node(errand: Errand) -> dict[str, Any]:
    """The answer to an errand (`said`), and the node that it was done on.

    Raises Lost where its pytest is gone, and what that raised.
    """
    session = errand.pytest
    try:
        if session not in _sessions:
            _sessions[session] = Peer(session.start())
            _sessions[session].greet()
        if errand.shelf is not None and errand.do in LOADS:
            have_artifact(_sessions[session], errand.test, _store(errand))
        answer = _sessions[session].exchange(errand.do, test=errand.test, **errand.parts)
    except SideError as error:
        _sessions.pop(session).kill()
        raise Lost(str(error)) from None
    return {"said": value_of(answer), "node": socket.gethostname(), "id": _node_id()}


def have_artifact(peer: Peer, test: str, store: OnShelf) -> None:
    """Have the artifact of the test's cell in this machine's cache: taken from where another node built it, or built
    for the others too. A build that fails is told by the test's own run."""
    where = peer.exchange("artifact", test=test).get("ok")
    if where is None or fetch(store, Path(where)):
        return
    try:
        if "error" not in peer.exchange("build", test=test):
            publish(store, Path(where))
    finally:
        # Who waits for it is not to wait for what did not come; what is on the shelf stays there.
        store.give_up(Path(where).name)


def _store(errand: Errand) -> OnShelf:
    import ray

    return OnShelf(ray, errand.shelf, _node_id())


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())
