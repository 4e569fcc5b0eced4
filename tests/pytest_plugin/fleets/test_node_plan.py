"""What of a test's data may be scored in parts: only what can be told from other data, and has a number of items."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchgate.core.shards import Answers
from benchgate.pytest_plugin.node import NodeHooks


class Described(list):
    """Items that say what they are."""

    def describe(self):
        return {"dataset": "numbers", "n": len(self)}


class Endless:
    """Data without a number of items."""

    def describe(self):
        return {"dataset": "endless"}


class InParts:
    def answers(self, session, model, data, shard) -> Answers:
        return {}

    def summed(self, session, model, data, answers):
        return {}


DATA = Described([1, 2, 3])


def plan(data=DATA, task=None, scored=True, asked=True):
    of = SimpleNamespace(task=InParts() if task is None else task)
    order = SimpleNamespace(scored=scored, data=data, of=of, threads=1)
    return NodeHooks._plan(SimpleNamespace(_asked=lambda test: order if asked else None), "test_it")


def test_described_items_are_scored_in_parts():
    found = plan()
    assert (found["items"], found["threads"]) == (3, 1)
    assert found["cores"] >= 1


@pytest.mark.parametrize(
    "options",
    [
        # Another list of a test that was changed before the run was resumed would not be seen.
        {"data": [1, 2, 3]},
        {"data": Endless()},
        {"data": None},
        {"task": object()},
        {"scored": False},
        {"asked": False},
    ],
)
def test_all_else_is_scored_whole(options):
    assert plan(**options) is None
