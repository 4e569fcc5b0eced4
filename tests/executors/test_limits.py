"""`benchgate limits` with real processes, on a cell that eats memory, dies, hangs or leaks as it is told to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchgate.results.runs import read_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a limit of memory needs Linux")
MIB = 2**20
CONFTEST = 'pytest_plugins = ["suite"]\n'
SUITE = """
import os
from dataclasses import dataclass, field

import benchgate
from benchgate import Work

KEPT = []


@dataclass(frozen=True)
class Model:
    name: str
    version: str = "1"
    task: str = "eating"

    def build(self):
        return None


for name in ("eats", "dies", "hangs", "leaks", "wrong"):
    benchgate.model(Model(name))


def act(name, batch):
    if name in ("eats", "leaks"):
        eaten = bytearray(batch * 64 * 2**20)
        eaten[::4096] = b"x" * len(eaten[::4096])
    if name == "leaks":
        KEPT.append(b"x" * 4 * 2**20)
    if name == "dies" and batch > 4:
        os._exit(3)
    if name == "hangs" and batch > 4:
        while True:
            pass
    if name == "wrong" and batch > 4:
        raise ValueError("no such batch")
    return 1.0


def eat(session, model, inputs, batch=1):
    return Work(call=lambda: act(model.name, batch), units=batch)


@benchgate.task
class Eating:
    name = "eating"
    unit = "bites"
    operations = {"eat": eat}

    def sample(self, model, batch=1):
        return batch

    def score(self, session, model, data):
        return {}


class Session:
    kernel = {}
    weights_bytes = None
    identity = ""

    def close(self):
        pass


@benchgate.runtime
@dataclass(frozen=True)
class Runtime:
    name: str = "plain"
    format: str = "bytes"
    needs: dict = field(default_factory=dict)

    def missing(self, device):
        return None

    def build(self, model, scheme, out):
        (out / "weights").write_bytes(b"w")

    def load(self, path, model, device, threads):
        return Session()


benchgate.support.session("plain", "eating", "suite:Session")
benchgate.support.compressor("plain", "float", dtypes=("float32",))
"""


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path / "project"
        self.path.mkdir()
        (self.path / "pyproject.toml").write_text("", encoding="utf-8")
        (self.path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (self.path / "suite.py").write_text(SUITE, encoding="utf-8")
        self.environment = {**os.environ, "BENCHGATE_CACHE": str(path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def begin(self, name: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchgate.commands.main", "limits", f"{name}-fp32-plain-cpu", *options]
        return subprocess.Popen(
            command, cwd=self.path, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, name: str, *options: str) -> tuple[int, str, str]:
        process = self.begin(name, "--threads", "1", *options)
        said, errors = process.communicate(timeout=120)
        assert "Traceback" not in errors, errors
        return process.returncode, said, errors


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_largest_batch_within_a_memory_limit_is_found_foretold_and_kept(folder, tmp_path):
    out = tmp_path / "limits.json"
    code, said, _ = folder.run("eats", "--axis", "batch", "--memory", "1GiB", "-o", str(out))
    assert code == 0, said
    document = json.loads(out.read_text(encoding="utf-8"))
    records = [b["extra_info"]["benchgate"] for b in document["benchmarks"]] + document["benchgate"]["untimed"]
    by_batch = {record["params"]["batch"]: record for record in records if not record["key"].endswith("again")}
    assert len(by_batch) <= len({record["key"] for record in records}) == len(records) <= 10
    # One that was measured and took more than the budget has passed as a measurement: the verdict says what fits.
    told = re.search(r"batch (\d+) fits, (\d+) does not", said)
    assert told is not None, said
    fitting, above = map(int, told.groups())
    # 64 MiB each, beside what Python itself takes.
    assert 10 <= fitting <= 1024 // 64
    assert above == fitting + 1
    assert {fitting, above} <= by_batch.keys()
    private = {batch: by_batch[batch]["metrics"]["peak_private_bytes"]["value"] for batch in (1, 4, fitting)}
    # Of the calls alone: what the statistics import afterwards would hide the small batches.
    assert private[4] - private[1] == pytest.approx(3 * 64 * MIB, rel=0.02)
    assert private[fitting] - private[4] == pytest.approx((fitting - 4) * 64 * MIB, rel=0.02)
    assert "predicted" in said
    assert "RLIMIT_DATA" in said
    peak = by_batch[fitting]["metrics"]["peak_private_bytes"]["value"]
    assert fitting * 64 * MIB < peak < 1024 * MIB
    assert len(read_run(out).records) == len(records)


@pytest.mark.parametrize(
    ("name", "timeout", "ended", "why"),
    [
        ("dies", "60", "crash", "exit code 3"),
        ("hangs", "8", "timeout", "not done within"),
        ("wrong", "60", "error", "no such batch"),
    ],
)
def test_a_trial_that_ends_badly_is_an_answer(folder, name, timeout, ended, why):
    code, said, errors = folder.run(name, "--axis", "batch", "--timeout", timeout, "--trials", "3")
    assert code == 0, errors
    assert f"{ended} " in errors
    assert why in errors
    assert "batch 4 fits" in said


def test_where_nothing_fits_it_says_by_how_much(folder):
    code, said, _ = folder.run("eats", "--axis", "batch", "--memory", "5MB")
    assert code == 1
    assert "nothing fits: batch 1 does not" in said
    assert "more than the budget" in said


def test_a_cell_that_leaks_is_told(folder):
    code, said, _ = folder.run("leaks", "--axis", "batch", "--trials", "1")
    assert code == 0
    assert "leaks: private memory grows by" in said


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--axis", "length"], "unknown axis of eating eat 'length'; known: batch, threads, sessions"),
        (["--axis", "batch", "--operation", "chew"], "unknown operation of eating 'chew'"),
    ],
)
def test_what_cannot_be_searched_is_said(folder, options, told):
    code, _, errors = folder.run("eats", *options)
    assert code == 2
    assert told in errors


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_is_ended(folder, sign, sigint_is_heard):
    process = folder.begin("hangs", "--axis", "batch", "--timeout", "100")
    end = time.monotonic() + 60
    while not process.stderr.readline().startswith("batch 4: fits"):
        assert time.monotonic() < end
    # The trial that hangs is there, or will be at once; what is left of any is what counts.
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(sign)
    process.wait(timeout=60)
    gone, alive = psutil.wait_procs(children, timeout=20)
    process.stdout.close()
    process.stderr.close()
    assert alive == []
    assert len(gone) == len(children)
