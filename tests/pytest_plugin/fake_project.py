"""A small project around the fake suite, and how to run it and read what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import scipy.stats  # noqa: F401  numpy cannot be imported anew in each inner run: here it stays loaded

from benchgate import core
from benchgate.machine import energy_counters, neighbours, throttling
from benchgate.machine.devices import devices

# Without hypothesis' plugin, which is imported anew in each inner run, and in the order that is written down.
SETTINGS = '''
[tool.pytest.ini_options]
addopts = """-p no:cacheprovider -p no:hypothesispytest -p no:randomly
--benchmark-max-time=0.02 --benchmark-min-rounds=20 --cell-executor=inline --cell-patience=0"""
'''

# cpuinfo costs a process at each run.
CONFTEST = """
import pytest
pytest_plugins = ["suite"]

@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_generate_machine_info():
    return {"node": "test", "cpu": {}}
"""

TWO_CELLS = """
import pytest

@pytest.mark.cells(model="fake-a", scheme=["fp32", "bf16"], runtime="fake")
def test_speed(cell):
    cell.measure(meters=("size",))
"""

# What a run registers is gone after it.
REGISTRIES: list[core.Registry[Any]] = [core.models, core.schemes, core.runtimes, core.tasks, core.transforms, devices]


class Project:
    """The folder that pytest runs in. `json(name)` and `records(name)` read what `--benchmark-json=name` wrote."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester, self.path, self._patch = pytester, pytester.path, monkeypatch
        # A module rewritten within a second and of the same length would be taken from its old byte code.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        # What is tested here are verdicts; how busy the machine is must not decide them.
        monkeypatch.setattr(neighbours, "disturbances", lambda *_: [])
        monkeypatch.setattr(throttling, "reasons", lambda *_: ())
        # Nor what it can measure.
        monkeypatch.setattr(energy_counters, "SOURCES", ())
        self.write("suite.py", Path(__file__).with_name("fake_suite.py").read_text(encoding="utf-8"))
        self.write("conftest.py", CONFTEST)
        self.write("pyproject.toml", SETTINGS)

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *args: str, process: bool = False, **settings: object) -> pytest.RunResult:
        """pytest with FAKE_* settings in the environment; in this process unless `process`."""
        with self._patch.context() as patch, ExitStack() as registered:
            for name, value in settings.items():
                patch.setenv(f"FAKE_{name}", str(value))
            for registry in REGISTRIES:
                registered.enter_context(registry.extended())
            result = self._run(args, process)
        result.stdout.no_fnmatch_line("*INTERNALERROR*")
        return result

    def _run(self, args: tuple[str, ...], process: bool) -> pytest.RunResult:
        if process:
            # Beside others a cluster takes a minute to start.
            return self.pytester.runpytest_subprocess(*args, timeout=180)
        return self.pytester.runpytest_inprocess(*args, no_reraise_ctrlc=True)

    def json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def records(self, name: str) -> dict[str, dict[str, Any]]:
        """Our records in a results file by test id, those without timings too."""
        document = self.json(name)
        blocks = [b["extra_info"]["benchgate"] for b in document["benchmarks"]] + document["benchgate"]["untimed"]
        return {block["key"].partition("::")[2]: block for block in blocks}

    def outcomes(self, name: str) -> dict[str, str]:
        return {key: record["outcome"] for key, record in self.records(name).items()}

    def journal(self) -> list[dict[str, Any]]:
        """The entries of the only journal that is left; none where the last run ended in order."""
        found = self.journals()
        assert len(found) <= 1
        return [json.loads(line) for path in found for line in path.read_text(encoding="utf-8").splitlines()[1:]]

    def journals(self) -> list[Path]:
        return sorted((self.path / ".benchmarks" / "benchgate-journals").glob("*.jsonl"))

    def compare(self, *names: str) -> str:
        """What pytest-benchmark's own command prints of results files."""
        command = [sys.executable, "-m", "pytest_benchmark", "compare", *names]
        environment = {**os.environ, "COLUMNS": "250"}
        done = subprocess.run(
            command, cwd=self.path, capture_output=True, text=True, timeout=60, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
