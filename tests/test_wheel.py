"""The wheel: the data sets that the fixtures of every suite score on are in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchgate.pytest_plugin.data_options import FILE, TASKS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """What pip builds, by the same backend, without an environment of its own."""
    pytest.importorskip("hatchling", reason="hatchling is not installed; pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(folder / done.stdout.strip().splitlines()[-1]) as archive:
        yield archive


def test_all_files_of_the_package_are_in_it(wheel):
    source = ROOT / "src"
    there = {path.relative_to(source).as_posix() for path in TASKS.rglob("*") if path.suffix in (".jsonl", ".toml")}
    assert {f"benchgate/tasks/causal_lm/{name}" for name in (FILE, "cloze.jsonl")} <= there
    assert there <= set(wheel.namelist())


def test_they_are_what_they_are_here(wheel):
    name = "benchgate/tasks/causal_lm/cloze.jsonl"
    assert wheel.read(name) == (ROOT / "src" / name).read_bytes()


def test_who_installs_it_alone_gets_nothing_large(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    lines = [line for line in wheel.read(name).decode().splitlines() if line.startswith("Requires-Dist:")]
    alone = {re.split(r"[^\w-]", line.split()[1])[0] for line in lines if "extra ==" not in line}
    assert {"numpy", "scipy", "unearth", "torch"}.isdisjoint(alone)
    assert {"pytest", "memray"} <= alone
