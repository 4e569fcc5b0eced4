"""What `pip install benchgate` alone brings: all of it works without numpy and scipy, and what needs them says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Python imports it at its start, in each process of a run.
HIDING = """
import sys

HIDDEN = (
    "ai_edge_litert", "ctranslate2", "faster_coco_eval", "gguf", "matplotlib", "numpy", "onnx", "onnxruntime", "PIL",
    "pyarrow", "pycocotools", "ray", "ruptures", "scipy", "sklearn", "tokenizers", "torch", "torchao", "transformers",
    "unearth", "httpx2", "xllamacpp",
)

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hiding())
"""
SUITE = """
import json
from dataclasses import dataclass
import benchgate as bg
import pytest

bg.metric_row(bg.Row("hits", "1", "higher", "accuracy", "hits", 0.03))

def called(weights, inputs):
    return [sum(w * x for w, x in zip(weights, row)) for row in inputs]

def saved(weights, path):
    path.write_text(json.dumps(weights))

def loaded(path):
    return json.loads(path.read_text())

bg.runtime(bg.SimpleRuntime("product-plain", loads=loaded, calls=called, saves=saved))

@dataclass(frozen=True)
class Row:
    name: str
    weight: float = 1.0
    version: str = "1"
    task: str = "product"

    def build(self):
        return [self.weight] * 16

bg.model(Row("row"))
bg.model(Row("other"))

@bg.task
class Product:
    name, unit = "product", "rows"

    def sample(self, model, batch):
        return [[1.0] * 16] * batch

    def score(self, session, model, data):
        found = tuple(float(answer > 15) for answer in session(data))
        return {"hits": bg.metric("hits", sum(found) / len(found), n=len(data), examples=found)}

@pytest.mark.cells(model="row", runtime="product-plain")
def test_row(cell):
    assert cell.measure(data=[[1.0] * 16] * 700)["hits"] == 1

@pytest.mark.cells(model="other", runtime="product-plain")
def test_beside(cell):
    cell.side_by_side(bg.Cell("row", "fp32", "product-plain", "cpu"))
"""
HINT = "numpy, scipy are not installed; pip install 'benchgate[gate]'"


@pytest.fixture
def typed(pytester, benchgate_cache):
    """What a command of the project printed, and its exit code, where neither package can be imported."""
    pytester.makepyfile(sitecustomize=HIDING, test_it=SUITE)
    path = os.pathsep.join(filter(None, (str(pytester.path), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}

    def ran(*words):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            env=environment,
            cwd=pytester.path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return ran


PYTEST = [
    "pytest",
    *("-rs", "-p", "no:randomly", "-p", "no:cacheprovider"),
    *("--benchmark-max-time=0.02", "--cell-patience=0", "test_it.py"),
]
COMMAND, GATE = "benchgate.commands.main", ("gate", "two.json", "one.json")


def test_a_suite_is_measured_stored_and_held_against_what_was_stored(typed, pytester):
    code, said = typed(*PYTEST, "--benchmark-json=one.json")
    assert (code, "1 passed, 1 skipped" in said) == (0, True), said
    assert HINT in said
    (bench,) = json.loads((pytester.path / "one.json").read_text())["benchmarks"]
    metrics = bench["extra_info"]["benchgate"]["metrics"]
    assert {"hits", "latency_median_s", "peak_rss_bytes"} <= metrics.keys()
    code, said = typed(*PYTEST, "-k", "row", "--benchmark-json=two.json", "--benchmark-compare=one.json")
    assert code == 0, said
    pytester.makepyfile(test_it=SUITE.replace("weight: float = 1.0", "weight: float = 0.5"))
    code, said = typed(*PYTEST, "-k", "row", "--benchmark-compare=one.json")
    assert code == 1, said
    shown = "product-plain"
    for words, wanted in ((("report", "one.json"), shown), (("compare", "one.json"), shown), (GATE, "passed")):
        code, said = typed(COMMAND, *words)
        assert (code, wanted in said) == (0, True), said


def test_fetching_says_what_to_install(typed, pytester):
    pytester.makepyfile(
        conftest="pytest_plugins = ['fixtures_of_mine']",
        fixtures_of_mine="""
        from benchgate.storage.assets import Asset, UrlFile, assets
        assets.add(Asset("spam", UrlFile("http://localhost:9/spam.bin"), "0" * 64, 4, "MIT"))
        """,
    )
    code, said = typed(COMMAND, "fetch", "spam")
    assert (code, "unearth is not installed; pip install 'benchgate[fetch]'" in said) == (2, True), said
    assert "Traceback" not in said


@pytest.mark.parametrize("words", [("list", "runtimes"), ("doctor",), ("list", "cells")])
def test_the_command_works(words, typed):
    code, said = typed(COMMAND, *words)
    assert code == 0, said


def test_what_computes_with_them_says_what_to_install(typed, pytester):
    pytester.run("git", "init", "-q")
    pytester.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "a")
    code, said = typed(*PYTEST, "--gate-against=HEAD")
    assert (code, f"the gate side by side: {HINT}" in said) == (4, True), said
    code, said = typed(COMMAND, "calibrate")
    assert (code, said.strip()) == (2, f"benchgate: benchgate calibrate: {HINT}")


def test_a_cell_of_a_runtime_that_is_not_there_is_a_skip_with_its_reason(typed, pytester):
    pytester.makepyfile(test_it=SUITE.replace('model="row", runtime="product-plain"', 'model="row", runtime="torch"'))
    code, said = typed(*PYTEST, "-k", "row")
    assert (code, "1 skipped" in said) == (0, True), said
    assert "torch, torchao are not installed; pip install 'benchgate[torch]'" in said, said
