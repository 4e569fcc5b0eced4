"""The high-water mark of a process."""

from __future__ import annotations

import sys

import pytest

from benchgate.core import Unavailable
from benchgate.machine.high_water import HighWater, high_water, reset

STATUS = "Name:\tx\nVmHWM:\t 900 kB\nVmData:\t 700 kB\nRssAnon:\t 400 kB\nRssFile:\t 100 kB\nRssShmem:\t 50 kB\n"


def test_a_status_is_read_by_part(tmp_path):
    (tmp_path / "status").write_text(STATUS, encoding="ascii")
    kib = 1024
    assert high_water(tmp_path) == HighWater(900 * kib, 400 * kib, 750 * kib, (750 + 300) * kib)


@pytest.mark.parametrize("text", ["", "VmHWM: 1 kB\n", STATUS.replace("400", "many")])
def test_another_status_is_unavailable(tmp_path, text):
    (tmp_path / "status").write_text(text, encoding="ascii")
    with pytest.raises(Unavailable, match="not as Linux writes it"):
        high_water(tmp_path)


def test_nothing_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="cannot be read"):
        high_water(tmp_path)
    with pytest.raises(Unavailable, match="cannot be reset"):
        reset(tmp_path / "none")


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux tells it")
def test_a_peak_of_this_process_is_seen_and_forgotten():
    large = bytearray(64 * 2**20)
    large[::4096] = b"x" * len(large[::4096])
    with_it = high_water()
    del large
    assert high_water().peak >= with_it.peak - 2**20
    reset()
    assert high_water().peak < with_it.peak - 32 * 2**20
