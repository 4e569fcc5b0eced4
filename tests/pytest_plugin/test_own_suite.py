"""A suite all of which is one test file: its models, its metrics, its runtime, in processes of their own."""

from __future__ import annotations

import json

import pytest

SUITE = """
from dataclasses import dataclass
import benchgate as bg
import numpy as np
import pytest

bg.metric_row(bg.Row("hits", "1", "higher", "accuracy", "hits", 0.03))
SIZE = 16

def called(weights, inputs):
    return inputs @ weights

def saved(weights, path):
    with path.open("wb") as out:
        np.save(out, weights)

bg.runtime(bg.SimpleRuntime("product-numpy", loads=lambda path: np.load(path), calls=called, saves=saved))

@bg.model
@dataclass(frozen=True)
class Matrix:
    name: str = "matrix"
    version: str = "1"
    task: str = "product"

    def build(self):
        return np.ones((SIZE, SIZE), np.float32)

@bg.task
class Product:
    name, unit = "product", "vectors"

    def sample(self, model, batch):
        return np.ones((batch, SIZE), np.float32)

    def score(self, session, model, data):
        return {"hits": bg.metric("hits", float((session(data) == SIZE).mean()), n=len(data))}

@pytest.mark.cells(model="matrix", runtime="product-numpy")
def test_product(cell):
    cell.measure(data=np.ones((5, SIZE), np.float32), meters=("latency",))
"""


@pytest.fixture
def run(pytester, benchgate_cache, monkeypatch):
    """What a run of the suite prints, and its record."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def ran(text, mode):
        pytester.makepyfile(test_it=text)
        options = ("-p", "no:cacheprovider", f"--import-mode={mode}", "--benchmark-max-time=0.02", "--cell-patience=0")
        result = pytester.runpytest_subprocess(*options, "--benchmark-json=out.json", timeout=120)
        result.assert_outcomes(passed=1)
        (found,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
        return result.stdout.str(), found["extra_info"]["benchgate"]

    return ran


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_its_metrics_gate_and_its_artifacts_are_built_once_until_they_change(run, mode):
    said, record = run(SUITE, mode)
    assert record["metrics"]["hits"]["value"] == 1
    assert (record["rows"]["hits"]["tolerance"], record["rows"]["hits"]["title"]) == (0.03, "hits")
    assert "benchgate: built 1 of 1" in said
    assert "in no file" not in said
    assert "benchgate: built" not in run(SUITE, mode)[0]
    assert "benchgate: built 1 of 1" in run(SUITE.replace("SIZE = 16", "SIZE = 8"), mode)[0]
    changed = SUITE.replace("return np.ones((SIZE, SIZE)", "return 2 - np.ones((SIZE, SIZE)")
    assert "benchgate: built 1 of 1" in run(changed, mode)[0]


def test_a_function_that_was_made_of_text_is_known_by_its_code(run):
    made = SUITE.replace(
        "    def build(self):\n        return np.ones((SIZE, SIZE), np.float32)\n",
        "    exec('def build(self): return 1 * np.ones((SIZE, SIZE), np.float32)', globals(), locals())\n",
    )
    assert "benchgate: built 1 of 1" in run(made, "prepend")[0]
    assert "benchgate: built" not in run(made, "prepend")[0]
    assert "benchgate: built 1 of 1" in run(made.replace("1 * np", "2 - np"), "prepend")[0]
