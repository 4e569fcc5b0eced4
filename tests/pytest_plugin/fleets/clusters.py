"""Real clusters of this machine, a project whose cells leave marks, and its runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEADLINE_S = 180.0


def added(cluster, *kinds):
    """A node that measures for each kind."""
    made = [cluster.add_node(num_cpus=1, resources={"bench_slot": 1, f"kind:{kind}": 1}) for kind in kinds]
    cluster.wait_for_nodes()
    return made


def rack(cluster):
    return [f"--cell-executor=ray={cluster.address}", "--cell-kind=rack", "--benchmark-json=out.json"]


def started(project, *options, **settings):
    environment = {**os.environ, **{f"FAKE_{name}": str(value) for name, value in settings.items()}}
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *options]
    return subprocess.Popen(
        command, cwd=project.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def marks(tmp_path):
    path = tmp_path / "marks"
    return [line.split(" ", 1) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def sessions(project):
    """The sessions of nodes that run for this project."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if "--cell-node" in place.read_text() and place.with_name("cwd").resolve().is_relative_to(project.path):
                found.append(int(place.parent.name))
    return found


@contextlib.contextmanager
def node_elsewhere(cluster, host, kind):
    """A node of this kind that has a host name of its own, as another machine has; a skip where that cannot be."""
    start = f"hostname {host} && exec ray start --block --num-cpus=1 --address={cluster.address} --resources="
    command = ["unshare", "--uts", "sh", "-c", f"""{start}'{{"bench_slot": 1, "kind:{kind}": 1}}'"""]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    node = subprocess.Popen(
        command, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        until(lambda: node.poll() is not None or _is_there(cluster, host))
        if node.poll() is not None:
            pytest.skip(f"no host name of its own here: {node.stdout.read()[-200:]}")
        yield
    finally:
        node.terminate()
        node.wait(60)


def _is_there(cluster, host):
    return any(node["Alive"] and node["NodeManagerHostname"] == host for node in cluster.global_state.node_table())
