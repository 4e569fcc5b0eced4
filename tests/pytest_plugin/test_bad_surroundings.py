"""Surroundings that are none of a cell's doing: an import, a thread, a folder, another run, a limit of the user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and forks as Linux has them")

# One file: what the model's call does is the only thing that differs.
SUITE = """
import os
from dataclasses import dataclass, field

import pytest
import benchgate
from benchgate import Work


def act():
    {act}
    return 1.0


@dataclass(frozen=True)
class Model:
    name: str
    task: str = "acting"
    version: str = "1"

    def build(self):
        return None


def run(session, model, inputs):
    return Work(call=session)


@benchgate.task
class Acting:
    name = "acting"
    unit = "acts"
    operations = {{"act": run}}

    def sample(self, model, batch):
        return batch

    def score(self, session, model, data):
        return {{}}


class Session:
    weights_bytes = None
    kernel = {{}}

    def __call__(self):
        return act() if self.bad else 1.0

    def __init__(self, bad):
        self.bad = bad

    def close(self):
        pass


@benchgate.runtime
@dataclass(frozen=True)
class Actors:
    name: str = "actor"
    format: str = "none"
    needs: dict = field(default_factory=dict)

    def missing(self, device):
        return None

    def build(self, model, scheme, out):
        (out / "nothing").write_text("")

    def load(self, path, model, device, threads):
        return Session(model.name == "bad")


benchgate.support.session("actor", "acting", f"{{__name__}}:Session")
benchgate.support.compressor("actor", "float", dtypes=("float32",))
benchgate.model(Model("good"))
benchgate.model(Model("bad"))


@pytest.mark.cells(model=["bad", "good"], runtime="actor")
def test_act(cell):
    cell.measure("act", meters=())
"""
CONFTEST = """
def pytest_benchmark_generate_machine_info():
    return {"node": "test", "cpu": {}}
"""
# Limits of processes and of folders do not hold root; nobody, who may read all, is held by them.
NOBODY = 65534
AS_NOBODY = [
    "setpriv",
    f"--reuid={NOBODY}",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
]
OPTIONS = ("-p", "no:cacheprovider", "--benchmark-max-time=0.01", "--cell-patience=0", "--cell-timeout=60")


class Folder:
    """A project with a bad and a good cell."""

    def __init__(self, path: Path) -> None:
        self.path, self.cache = path, path.parent / "cache"
        path.mkdir(parents=True)
        (path / "pyproject.toml").write_text("", encoding="utf-8")
        self.write()

    def write(self, act: str = "pass", conftest: str = "") -> None:
        (self.path / "test_it.py").write_text(SUITE.format(act=act), encoding="utf-8")
        (self.path / "conftest.py").write_text(conftest + CONFTEST, encoding="utf-8")

    def begin(self, out: Path, before: str = "", user: Sequence[str] = ()) -> subprocess.Popen[str]:
        """pytest as `user`, after the shell's `before`; the results go to `out`."""
        environment = {**os.environ, "BENCHGATE_CACHE": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", *OPTIONS, f"--benchmark-json={out}", "-rA"]
        return subprocess.Popen(
            [*user, "bash", "-c", f'{before}\nexec "$@"', "bash", *command],
            cwd=self.path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, out: Path, before: str = "", user: Sequence[str] = ()) -> str:
        said, _ = self.begin(out, before, user).communicate(timeout=100)
        return said


def records(out: Path) -> dict[str, dict[str, Any]]:
    document = json.loads(out.read_text(encoding="utf-8"))
    found = [b["extra_info"]["benchgate"] for b in document["benchmarks"]] + document["benchgate"]["untimed"]
    return {record["cell"]["model"]: record for record in found}


def outcomes(out: Path) -> dict[str, str]:
    return {name: record["outcome"] for name, record in records(out).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "a folder with ümlauts")


def test_an_import_that_fails_in_the_worker_only_is_its_cells_failure(folder, tmp_path):
    folder.write("import not_there_in_the_worker")
    out = tmp_path / "out.json"
    said = folder.run(out)
    assert outcomes(out) == {"bad": "failed", "good": "passed"}, said
    assert "not_there_in_the_worker" in records(out)["bad"]["reason"]
    assert "1 failed, 1 passed" in said


def test_two_runs_at_once_in_one_folder_do_not_meet(folder, tmp_path):
    outs = [tmp_path / "one.json", tmp_path / "two.json"]
    running = [folder.begin(out) for out in outs]
    said = [process.communicate(timeout=100)[0] for process in running]
    for out, text in zip(outs, said, strict=True):
        assert outcomes(out) == {"bad": "passed", "good": "passed"}, text


@pytest.fixture
def limited(folder, tmp_path) -> list[str]:
    """Begin of a command whose process is held by the limits; it may write to `written` and the cache."""
    places = [tmp_path / "written", folder.cache]
    for place in places:
        place.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None or subprocess.run([*AS_NOBODY, "true"], check=False).returncode:
        pytest.skip("run by root, who has no limits and cannot become nobody here")
    for place in places:
        os.chown(place, NOBODY, NOBODY)
    return AS_NOBODY


def test_a_root_that_nothing_can_be_written_to_is_measured(folder, tmp_path, limited):
    folder.path.chmod(0o555)
    out = tmp_path / "written" / "out.json"
    said = folder.run(out, user=limited)
    assert "INTERNALERROR" not in said
    assert outcomes(out) == {"bad": "passed", "good": "passed"}, said
    assert not (folder.path / ".benchmarks").exists()


@pytest.mark.backend("torch")
def test_a_conftest_that_computes_in_parallel_when_imported_hangs_no_worker(folder, tmp_path):
    """A fork of a process whose OpenMP pool runs would hang; the workers are forks of another process."""
    parallel = "import torch\ntorch.set_num_threads(2)\nlarge = torch.ones(2000, 2000)\nlarge @ large\n"
    act = "import torch; torch.set_num_threads(2); torch.ones(600, 600) @ torch.ones(600, 600)"
    folder.write(act, parallel)
    out = tmp_path / "out.json"
    said = folder.run(out)
    assert outcomes(out) == {"bad": "passed", "good": "passed"}, said


@pytest.mark.parametrize("most", [1, 3])
def test_where_no_process_can_be_started_no_cell_passes_in_silence(folder, tmp_path, limited, most):
    """`ulimit -u` counts threads too: with 1 nothing can be started, with 3 a zygote but not both of its workers."""
    if not limited:
        pytest.skip("the user's other processes count for the limit too; as root this runs as nobody, who has none")
    out = tmp_path / "written" / "out.json"
    # pytest-rerunfailures starts a thread of its own, and ends in a traceback.
    before = f"export OPENBLAS_NUM_THREADS=1 PYTEST_ADDOPTS='-p no:rerunfailures'\nulimit -u {most}"
    said = folder.run(out, before=before, user=limited)
    assert "INTERNALERROR" not in said, said
    assert set(outcomes(out)) == {"bad", "good"}, said
    # None at all is a reason to skip, as for anything that is not there; one that dies of it is its cell's outcome.
    assert outcomes(out)["bad"] in (("skipped",) if most == 1 else ("skipped", "crash")), said
    assert records(out)["bad"]["reason"], said
