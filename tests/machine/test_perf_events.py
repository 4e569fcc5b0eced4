"""The system call, on an event that every Linux has: the CPU time of this process."""

from __future__ import annotations

import sys

import pytest

from benchgate.machine import perf_events

SOFTWARE, TASK_CLOCK, CPU_CLOCK_OF_NO_SUCH_KIND = 1, 1, 10**6
ANY_CPU, THIS_PROCESS = -1, 0


@pytest.mark.skipif(sys.platform != "linux", reason="perf events are Linux'")
def test_an_open_event_counts_upwards():
    try:
        count = perf_events.open_event(SOFTWARE, TASK_CLOCK, ANY_CPU, THIS_PROCESS)
    except OSError as error:
        pytest.skip(f"perf events are not allowed here: {error}")
    first = count()
    sum(range(10_000))
    assert 0 < first < count()


@pytest.mark.skipif(sys.platform != "linux", reason="perf events are Linux'")
def test_what_the_kernel_refuses_is_an_error():
    with pytest.raises(OSError, match="Errno"):
        perf_events.open_event(SOFTWARE, CPU_CLOCK_OF_NO_SUCH_KIND, ANY_CPU, THIS_PROCESS)


def test_a_machine_whose_call_is_not_known_is_an_error(monkeypatch):
    monkeypatch.setattr(perf_events.platform, "machine", lambda: "s390x")
    with pytest.raises(OSError, match="perf events of s390x are not known"):
        perf_events.open_event(SOFTWARE, TASK_CLOCK, ANY_CPU)
