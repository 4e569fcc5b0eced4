"""The table of slow tests names tests that are there: a renamed one would be fast again without a word."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.slow import FILES, TESTS, is_slow

TESTS_FOLDER = Path(__file__).parent


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_table_is_there(name):
    assert (TESTS_FOLDER / name).is_file()


@pytest.mark.parametrize("name", TESTS)
def test_a_test_of_the_table_is_there(name):
    file, _, function = name.partition("::")
    found = ast.parse((TESTS_FOLDER / file).read_text(encoding="utf-8")).body
    assert function in {node.name for node in found if isinstance(node, ast.FunctionDef)}
    assert file not in FILES, "named twice"


def test_cases_of_a_named_test_are_slow_and_its_neighbours_are_not():
    assert is_slow("runtimes/test_contract.py::test_one_call_runtimes[fp32-torch]")
    assert is_slow("pytest_plugin/test_gate.py::test_new_and_gone")
    assert not is_slow("runtimes/test_contract.py::test_one_call_runtimes_again")
    assert not is_slow("core/test_stats.py::test_mean")
