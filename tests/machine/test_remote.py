"""An object in a process of its own: its answers, its errors, its death, its time and its memory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.machine.limits import UNITS, limit_process_memory, parse_bytes
from benchgate.machine.remote import Remote
from benchgate.machine.workers import WorkerDied


class Guest:
    """Does there what it is told."""

    def __init__(self, start=0):
        if start < 0:
            raise DataError("start below 0")
        self.total = start

    def add(self, number):
        self.total += number
        return self.total

    def pid(self):
        return os.getpid()

    def fail(self, kind):
        raise kind("on purpose")

    def die(self, number):
        os.kill(os.getpid(), number)

    def sleep(self):
        time.sleep(60)

    def limit(self, size):
        limit_process_memory(size)

    def allocate(self, size):
        return len(bytearray(size))


@pytest.fixture
def guest():
    remote = Remote(Guest, 10)
    yield remote
    remote.close()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_lives_elsewhere_keeps_its_state_and_is_gone_afterwards(guest):
    assert (guest.call("add", 1), guest.call("add", 2)) == (11, 13)
    pid = guest.call("pid")
    assert pid != os.getpid()
    guest.close()
    assert not is_alive(pid)


@pytest.mark.parametrize(
    "kind",
    [DataError, MemoryError, ValueError, RuntimeError],
)
def test_its_errors_come_over_and_it_lives_on(guest, kind):
    with pytest.raises(kind, match="on purpose"):
        guest.call("fail", kind)
    assert guest.call("add", 0) == 10


def test_its_death_is_told_and_there_is_no_more_to_ask(guest):
    with pytest.raises(WorkerDied, match="killed by signal 6"):
        guest.call("die", signal.SIGABRT)
    with pytest.raises(WorkerDied, match="killed by signal 6"):
        guest.call("add", 1)


def test_what_is_not_done_in_time_is_killed():
    remote = Remote(Guest, timeout_s=30)
    pid = remote.call("pid")
    remote._end = time.monotonic() + 0.2
    with pytest.raises(TimeoutError, match="not done within"):
        remote.call("sleep")
    assert not is_alive(pid)
    remote.close()


def test_a_factory_that_raises_says_so():
    with pytest.raises(DataError, match="start below 0"):
        Remote(Guest, -1)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts all private memory on Linux only")
def test_a_memory_limit_is_relative_to_what_the_process_has_and_its_own(guest):
    guest.call("limit", 50_000_000)
    assert guest.call("allocate", 30_000_000) == 30_000_000
    with pytest.raises(MemoryError):
        guest.call("allocate", 80_000_000)
    assert guest.call("allocate", 30_000_000) == 30_000_000
    assert ctypes.create_string_buffer(80_000_000)


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("2 gib", 2 * 2**30), ("512MiB", 2**29), ("1.5k", 1500), ("7", 7), (7, 7), ("9B", 9)],
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1GB", "GB", "2TB", "2 G B", "1e9", "0.1", None])
def test_what_is_no_size_is_named(text):
    with pytest.raises(DataError, match="is no size; write for example 2GB"):
        parse_bytes(text)


@given(st.integers(1, 10**15), st.sampled_from([*UNITS]), st.sampled_from(["", "b", "B"]))
def test_whole_sizes_are_read_exactly(number, unit, letter):
    assert parse_bytes(f"{number}{unit}{letter}") == number * UNITS[unit]
