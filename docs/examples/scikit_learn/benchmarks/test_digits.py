from pathlib import Path

import pytest
import skops.io
from sklearn.datasets import load_digits

import benchgate as bg


def loaded(path):
    # Not pickle: a file of weights runs no code, and what is not scikit-learn's own is refused.
    return skops.io.load(path)


def called(classifier, images):
    return classifier.predict_proba(images)


bg.runtime(bg.SimpleRuntime("sklearn", loads=loaded, calls=called, files=(".skops",)))


@bg.model
class Classifier:
    name, version, task = "digits-logistic", "1", "digits"
    path = Path(__file__).parents[1] / "digits.skops"


@bg.task
class Digits:
    name, unit = "digits", "images"

    def sample(self, model, batch):
        return load_digits().data[:batch]

    def score(self, session, model, data):
        images, digits = data
        right = (session(images).argmax(1) == digits).astype(float)
        return {"accuracy": bg.metric("accuracy", right.mean(), n=len(right), examples=tuple(right))}


@pytest.mark.cells(model="digits-logistic", runtime="sklearn")
def test_digits(cell):
    x, y = load_digits(return_X_y=True)
    assert cell.measure(batch=100, data=(x[1000:], y[1000:]))["accuracy"] > 0.6
