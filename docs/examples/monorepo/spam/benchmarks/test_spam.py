import numpy as np
import pytest
from linear import runtime

import benchgate as bg

bg.runtime(runtime("spam-numpy"))
KEPT = 1.0


@bg.model
class Weights:
    name, version, task = "spam-weights", "1", "spam"

    def build(self):
        return np.eye(32, dtype=np.float32) * KEPT


@bg.task
class Task:
    name, unit = "spam", "vectors"

    def sample(self, model, batch):
        return np.ones((batch, 32), np.float32)

    def score(self, session, model, data):
        right = (session(data) > 0.5).all(axis=1).astype(float)
        return {"accuracy": bg.metric("accuracy", right.mean(), n=len(right), examples=tuple(right))}


@pytest.mark.cells(model="spam-weights", runtime="spam-numpy")
def test_spam(cell):
    cell.measure(data=np.ones((50, 32), np.float32))
