import subprocess
import sys

import numpy as np
import pytest

import benchgate as bg

NEEDS = "json, decimal"

bg.metric_row(bg.Row("modules", "modules", "lower", "size", "modules", 0.0))


@bg.meter
class Modules:
    """How many modules a service imports before it can answer."""

    name, optional, gives = "modules", True, ("modules",)

    def measure(self, subject):
        code = f"import {NEEDS}, sys; print(len(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return bg.Reading({"modules": bg.metric("modules", int(done.stdout))})


def called(weights, inputs):
    return inputs @ weights


def saved(weights, path):
    with path.open("wb") as out:
        np.save(out, weights)


bg.runtime(bg.SimpleRuntime("numpy-matmul", loads=np.load, calls=called, saves=saved))


@bg.model
class Matrix:
    name, version, task = "matrix", "1", "product"

    def build(self):
        return np.ones((64, 64), np.float32)


@bg.task
class Product:
    name, unit = "product", "vectors"

    def sample(self, model, batch):
        return np.ones((batch, 64), np.float32)

    def score(self, session, model, data):
        return {}


@pytest.mark.cells(model="matrix", runtime="numpy-matmul")
def test_start(cell):
    cell.measure(meters=("latency", "size", "modules"))
