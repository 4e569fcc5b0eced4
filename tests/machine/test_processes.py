"""Functions in processes of their own: what they answer, and every way in which they can die."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from benchgate.core import Unavailable
from benchgate.machine.processes import ProcessFailed, death, in_forked_process, in_fresh_process


def doubled(x):
    return 2 * x


def process_id():
    return os.getpid(), "test_processes" in sys.modules


def raising(message):
    raise ValueError(message)


def exiting(code):
    os._exit(code)


def leaving(code):
    sys.exit(code)


def killing_itself(number):
    os.kill(os.getpid(), number)


def sleeping(seconds):
    time.sleep(seconds)


def answering_what_cannot_be_sent():
    return threading.Lock()


def answering_much():
    return b"x" * 3_000_000


DEATHS = [
    (raising, "no such file", "^ValueError: no such file$"),
    (exiting, 3, "^died with exit code 3$"),
    (leaving, 4, "^died with exit code 4$"),
    (killing_itself, signal.SIGKILL, "^killed by signal 9, probably out of memory$"),
    (killing_itself, signal.SIGTERM, "^killed by signal 15$"),
]


@pytest.mark.parametrize("where", [in_fresh_process, in_forked_process])
def test_the_answer_comes_back_from_another_process(where):
    pid, _ = where(process_id)
    assert pid != os.getpid()


@pytest.mark.parametrize(("function", "argument", "said"), DEATHS)
def test_every_death_in_a_copy_of_this_process_is_told(function, argument, said):
    with pytest.raises(ProcessFailed, match=said):
        in_forked_process(function, argument)


@pytest.mark.parametrize(("function", "argument", "said"), [DEATHS[0], DEATHS[3]])
def test_deaths_of_a_fresh_process_are_told(function, argument, said):
    with pytest.raises(ProcessFailed, match=said):
        in_fresh_process(function, argument)


def test_a_process_that_does_not_answer_in_time_is_killed():
    with pytest.raises(ProcessFailed, match=r"^no answer after 0\.1 s$"):
        in_forked_process(sleeping, 60, timeout_s=0.1)


def test_a_large_answer_comes_whole():
    assert len(in_forked_process(answering_much)) == 3_000_000


def test_an_answer_that_cannot_be_sent_is_told():
    with pytest.raises(ProcessFailed, match="pickle"):
        in_forked_process(answering_what_cannot_be_sent)


@pytest.mark.parametrize("function", [lambda x: x, threading.Lock().acquire])
def test_a_function_that_cannot_be_sent_is_unavailable_with_what_to_do(function):
    with pytest.raises(Unavailable, match=r"cannot be sent to a process of its own .*define it in a module"):
        in_fresh_process(function, 1)


def test_an_argument_that_cannot_be_sent_is_unavailable():
    with pytest.raises(Unavailable, match="cannot be sent"):
        in_fresh_process(doubled, threading.Lock())


def test_a_copy_of_this_process_needs_no_sending():
    value = 21
    assert in_forked_process(lambda: doubled(value)) == 42


def test_the_session_goes_on_after_a_death():
    with pytest.raises(ProcessFailed):
        in_forked_process(exiting, 1)
    assert in_forked_process(doubled, 2) == 4


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-9, "killed by signal 9, probably out of memory"),
        (-11, "killed by signal 11"),
        (0, "died with exit code 0"),
        (1, "died with exit code 1"),
        (None, "died with exit code None"),
    ],
)
def test_an_exit_code_in_words(code, said):
    assert death(code) == said
