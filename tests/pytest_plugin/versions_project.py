"""A small project under git whose cells are held against another version of it, by real processes and no framework."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import benchgate
from tests.pytest_plugin.fake_project import CONFTEST

SOURCES = Path(benchgate.__file__).parents[1]
IDENTITY = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
# A model's work is in a module of its own, which only its own cells load.
WORK = """
import time

SPIN_S = 0.002
SIZE = 1000


def call():
    end = time.thread_time() + SPIN_S
    while time.thread_time() < end:
        pass
    return 1.0
"""
SUITE = """
import importlib
from dataclasses import dataclass, field

import benchgate
from benchgate import Work


@dataclass(frozen=True)
class Model:
    name: str
    version: str = "1"
    task: str = "working"

    def build(self):
        return None


for name in ("alpha", "beta"):
    benchgate.model(Model(name))


class Session:
    kernel = {}
    identity = ""

    def __init__(self, module, size):
        self.call, self.weights_bytes = module.call, size

    def close(self):
        pass


def answer(session, model, inputs):
    return Work(call=session.call)


@benchgate.task
class Working:
    name = "working"
    unit = "answers"
    operations = {"answer": answer}

    def sample(self, model, batch=1):
        return batch

    def score(self, session, model, data):
        return {}


@benchgate.runtime
@dataclass(frozen=True)
class Runtime:
    name: str = "plain"
    format: str = "bytes"
    needs: dict = field(default_factory=dict)

    def missing(self, device):
        return None

    def build(self, model, scheme, out):
        (out / "weights").write_bytes(b"w" * importlib.import_module(f"work_{model.name}").SIZE)

    def load(self, path, model, device, threads):
        module = importlib.import_module(f"work_{model.name}")
        return Session(module, (path / "weights").stat().st_size)


benchgate.support.session("plain", "working", "suite:Session")
benchgate.support.compressor("plain", "float", dtypes=("float32",))
"""
TESTS = """
import pytest


@pytest.mark.cells(model=["alpha", "beta"], scheme="fp32", runtime="plain")
def test_answer(cell):
    cell.measure("answer", meters=("size",), threads=1)


def test_nothing_of_ours():
    raise AssertionError("the gate runs cells only")
"""


class VersionsProject:
    """The checkout in `path`; `run` is pytest with these arguments in a process of its own."""

    def __init__(self, path: Path, cache: Path) -> None:
        self.path, self._cache = path, cache
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.write("conftest.py", CONFTEST)
        self.write("suite.py", SUITE)
        self.write("test_cells.py", TESTS)
        for name in ("alpha", "beta"):
            self.write(f"work_{name}.py", WORK)
        self.write("README.md", "A project.\n")
        self.write(".gitignore", ".benchmarks/\n__pycache__/\n")
        self.write("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-p no:hypothesispytest -p no:randomly"\n')
        self.commit()

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def git(self, *args: str) -> str:
        environment = {**os.environ, **IDENTITY}
        return subprocess.run(
            ["git", *args], cwd=self.path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a version")
        return self.git("rev-parse", "HEAD").strip()

    def start(self, *args: str, folder: str = ".", **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
            cwd=self.path / folder,
            env={
                **os.environ,
                "PYTHONPATH": str(SOURCES),
                "PYTHONDONTWRITEBYTECODE": "1",
                "BENCHGATE_CACHE": str(self._cache),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *args: str, folder: str = ".", **environment: str) -> tuple[int, str]:
        """The exit code and all that was printed."""
        process = self.start(*args, folder=folder, **environment)
        output, _ = process.communicate(timeout=300)
        assert "INTERNALERROR" not in output, output
        return process.returncode, output

    def worktrees(self) -> int:
        return self.git("worktree", "list").count("\n") - 1
