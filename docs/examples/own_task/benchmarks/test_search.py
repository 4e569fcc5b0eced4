import numpy as np
import pytest

import benchgate as bg

DOCUMENTS = np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32)
QUERIES = DOCUMENTS[:200] + np.random.default_rng(1).normal(size=(200, 64)).astype(np.float32)
BITS = 8

# Up to three points less are borne, and for how it is compared it is an accuracy: with data that are the same.
bg.metric_row(bg.Row("recall_at_10", "1", "higher", "accuracy", "recall@10", 0.03))


def loaded(path):
    with np.load(path) as stored:
        return stored["documents"] * stored["step"]


def called(documents, queries):
    return np.argsort(-queries @ documents.T, axis=1)[:, :10]


def saved(documents, path):
    step = np.float32(np.abs(documents).max() / (2 ** (BITS - 1) - 1))
    with path.open("wb") as out:
        np.savez(out, documents=np.round(documents / step).astype(np.int8), step=step)


bg.runtime(bg.SimpleRuntime("numpy-search", loads=loaded, calls=called, saves=saved))


@bg.model
class Index:
    name, version, task = "index", "1", "search"

    def build(self):
        return DOCUMENTS


@bg.task
class Search:
    name, unit, headline = "search", "queries", ("recall_at_10", "latency_p95_s", "size_bytes")

    def sample(self, model, batch):
        return QUERIES[:batch]

    def score(self, session, model, data):
        hits = (session(data) == np.arange(len(data))[:, None]).any(axis=1).astype(float)
        return {"recall_at_10": bg.metric("recall_at_10", hits.mean(), n=len(hits), examples=tuple(hits))}


@pytest.mark.cells(model="index", runtime="numpy-search")
def test_search(cell):
    cell.measure(batch=16, data=QUERIES)
