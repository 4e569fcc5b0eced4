from pathlib import Path

import pytest
import torch
from model import Net, points

import benchgate as bg

WEIGHTS = Path(__file__).parents[1] / "weights.pt"


@bg.model
class Ring:
    # Other weights are noticed and held against the old ones; what has another version is compared with nothing.
    name, version, task = "ring", "1", "inside"

    def build(self):
        net = Net()
        net.load_state_dict(torch.load(WEIGHTS, weights_only=True))
        return net.eval()


@bg.task
class Inside:
    name, unit = "inside", "points"

    def sample(self, model, batch):
        return torch.zeros(batch, 2)

    def score(self, session, model, data):
        x, y = data
        right = (session(x).argmax(1) == y.numpy()).astype(float)
        return {"accuracy": bg.metric("accuracy", right.mean(), n=len(right), examples=tuple(right))}


@pytest.mark.cells(model="ring", scheme=["fp32", "bf16"], runtime="torch")
def test_ring(cell):
    assert cell.measure(batch=64, data=points(seed=1))["accuracy"] > 0.6
