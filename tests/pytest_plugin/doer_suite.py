"""A project whose cells do what they are told: end in every way, be quiet, shout. Run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# All in the test's own module, which a worker cannot import.
SUITE = """
import ctypes, os, signal, sys, time
from dataclasses import dataclass, field

import pytest
import benchgate
from benchgate import Metric, Work


def quiet():
    return 1.0


def segfault():
    print("about to fall", flush=True)
    ctypes.string_at(0)


def eat():
    kept = []
    while True:
        kept.append(bytearray(50_000_000))


def hang():
    open("hanging", "w").close()
    ctypes.CDLL(None).sleep(1000)


ONCE = []


def shout():
    while len(ONCE) < 20_000:
        ONCE.append(os.write(1, b"x" * 50_000))
    return 1.0


def fork():
    if not ONCE:
        ONCE.append(1)
        if os.fork() == 0:
            time.sleep(1000)
    return 1.0


def close_pipe():
    os.closerange(3, 100)
    time.sleep(1000)


ACTS = {
    "quiet": quiet, "segfault": segfault, "exit": lambda: os._exit(3), "eat": eat, "hang": hang, "shout": shout,
    "fork": fork, "close": close_pipe, "kill": lambda: os.kill(os.getpid(), signal.SIGKILL), "raise": lambda: 1 / 0,
}


@dataclass(frozen=True)
class Doer:
    name: str
    task: str = "doing"
    version: str = "1"

    def build(self):
        return None


def do(session, model, inputs):
    return Work(call=session)


@benchgate.task
class Doing:
    name = "doing"
    unit = "acts"
    operations = {"do": do}

    def sample(self, model, batch):
        return batch

    def score(self, session, model, data):
        return {"accuracy": Metric(1.0, "1", "higher")}


class Session:
    weights_bytes = None
    kernel = {}

    def __init__(self, name):
        self.name = name

    def __call__(self):
        return ACTS[self.name]()

    def close(self):
        pass


@benchgate.runtime
@dataclass(frozen=True)
class Doers:
    name: str = "doer"
    format: str = "none"
    needs: dict = field(default_factory=dict)

    def missing(self, device):
        return None

    def build(self, model, scheme, out):
        if model.name == "unbuildable":
            os._exit(7)
        (out / "nothing").write_text("")

    def load(self, path, model, device, threads):
        assert os.getppid() != int(os.environ["PYTEST_PID"]), "no fork of a zygote"
        return Session(model.name)


benchgate.support.session("doer", "doing", f"{__name__}:Session")
benchgate.support.compressor("doer", "float", dtypes=("float32",))
for name in [*ACTS, "unbuildable"]:
    benchgate.model(Doer(name))
os.environ["PYTEST_PID"] = str(os.getpid())
"""
CONFTEST = """
import os
from pathlib import Path

with open("imported", "a") as file:
    file.write(f"{os.getpid()}\\n")

def pytest_benchmark_generate_machine_info():
    return {"node": "test", "cpu": {}}
"""
OPTIONS = ("-p", "no:cacheprovider", "--benchmark-max-time=0.01", "--benchmark-json=out.json", "--cell-patience=0")


class Suite:
    """A project with a cell for each act, run in a process of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
        path.mkdir(parents=True, exist_ok=True)
        (path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (path / "pyproject.toml").write_text("", encoding="utf-8")

    def write(self, body: str) -> None:
        (self.path / "test_it.py").write_text(SUITE + body, encoding="utf-8")

    def begin(self, *options: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "BENCHGATE_MARK": self.mark, "BENCHGATE_CACHE": str(self.path / "cache")}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *OPTIONS, *options],
            cwd=self.path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *options: str) -> str:
        process = self.begin(*options)
        said, _ = process.communicate(timeout=100)
        return said

    def records(self) -> dict[str, dict[str, Any]]:
        document = json.loads((self.path / "out.json").read_text(encoding="utf-8"))
        found = [b["extra_info"]["benchgate"] for b in document["benchmarks"]] + document["benchgate"]["untimed"]
        return {record["cell"]["model"]: record for record in found}

    def left(self) -> list[int]:
        """Processes of this suite that still run."""
        wanted = f"BENCHGATE_MARK={self.mark}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "environ").read_bytes() and "Z" not in (folder / "stat").read_text().split()[2]:
                    found.append(int(folder.name))
            except OSError:
                continue
        return found
