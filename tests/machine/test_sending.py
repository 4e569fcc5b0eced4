"""What is sent to a worker by value keeps the names of its files."""

from __future__ import annotations

import copy
import sys
from types import ModuleType

import cloudpickle
import pytest

from benchgate.machine import sending, workers

TEXT = """
def outer():
    def inner():
        return 1 / 0
    return inner
"""


@pytest.fixture
def outer():
    module = ModuleType("sent_by_value")
    sys.modules[module.__name__] = module
    exec(compile(TEXT, "/somewhere/spam.py", "exec"), module.__dict__)
    cloudpickle.register_pickle_by_value(module)
    yield module.outer
    cloudpickle.unregister_pickle_by_value(module)
    del sys.modules[module.__name__]


def test_functions_and_those_inside_of_them_name_the_file_that_they_were_written_in(outer):
    sent = cloudpickle.loads(sending.dumps(outer))
    assert sent is not outer
    assert sent.__code__.co_filename == sent().__code__.co_filename == "/somewhere/spam.py"
    with pytest.raises(ZeroDivisionError) as raised:
        sent()()
    assert str(raised.traceback[-1].path) == "/somewhere/spam.py"


def test_what_cannot_be_pickled_raises_what_cloudpickle_raises():
    with pytest.raises(TypeError, match="cannot pickle"):
        sending.dumps(iter(sys.modules.values()))


def test_what_comes_back_from_a_worker_names_it_too(outer):
    with workers.start() as worker:
        assert worker.call(copy.copy, outer).__code__.co_filename == "/somewhere/spam.py"
