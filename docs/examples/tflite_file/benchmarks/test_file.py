from pathlib import Path

import numpy as np
import pytest

import benchgate as bg

bg.model(bg.TFLiteFile(Path(__file__).parents[1] / "model.tflite", task="right-of-line"))


@bg.task
class RightOfLine:
    name, unit = "right-of-line", "points"

    def sample(self, model, batch):
        return np.zeros((batch, 2), np.float32)

    def score(self, session, model, data):
        scores = session(data)["scores"]
        right = (scores.argmax(1) == (data[:, 0] + data[:, 1] / 2 <= 0)).astype(float)
        return {"accuracy": bg.metric("accuracy", right.mean(), n=len(right), examples=tuple(right))}


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)


@pytest.mark.cells(model="model", scheme="fp32", runtime="litert")
def test_file(cell, points):
    assert cell.measure(data=points)["accuracy"] > 0.7
