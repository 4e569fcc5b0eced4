"""A tree of made-up counters."""

from __future__ import annotations

import pytest

from tests.machine.counter_trees import Tree


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)
