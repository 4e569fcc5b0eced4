"""powermetrics: its output parsed exactly, and whatever else it prints refused."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import Unavailable
from benchgate.machine import powermetrics
from benchgate.machine.counters import Refused, total
from benchgate.machine.powermetrics import Streaming, parse
from tests.machine.counter_trees import Clock
from tests.machine.counter_trees import powermetrics as output

APPLE = {"cpu_power": 3000.0, "gpu_power": 500.0, "ane_power": 0.0, "combined_power": 3500.0}


def test_milliwatts_of_apple_silicon_and_watts_of_intel_macs():
    assert parse(output((0.5, APPLE))) == [(0.5, pytest.approx({"processor": 3.5, "cpu": 3.0, "gpu": 0.5, "ane": 0.0}))]
    assert parse(output((1.0, {"package_watts": 12.25}))) == [(1.0, {"processor": 12.25})]


def test_a_last_sample_that_was_cut_off_is_left_out():
    assert len(parse(output((0.5, APPLE), (0.5, APPLE), cut=b"<?xml version='1.0'?><plist><dict>"))) == 2


@pytest.mark.parametrize(
    "stream",
    [
        b"<plist></plist>",
        b"powermetrics must be invoked as the superuser</plist>",
        output((0.0, APPLE)),
        output((0.5, {"combined_power": -1.0})),
        output((0.5, {"combined_power": "many"})),
        output((0.5, {"combined_power": float("nan")})),
        b"<plist version='1.0'><array/></plist>",
        b"<plist version='1.0'><dict><key>elapsed_ns</key></dict></plist>",
    ],
)
def test_what_is_no_sample_is_refused(stream):
    with pytest.raises(Unavailable, match="powermetrics answered"):
        parse(stream)


@given(st.binary(max_size=60), st.sampled_from([b"</plist>", b"<key>a</key></dict></plist>", b""]))
def test_whatever_it_prints_is_samples_or_refused(stream, end):
    try:
        found = parse(b"<plist version='1.0'>" + stream + end)
    except Unavailable:
        return
    assert all(seconds > 0 for seconds, _ in found)


def joules(stream, seconds):
    clock = Clock()
    reader = Streaming(lambda: lambda: stream, clock)
    end = reader.begin()
    clock.sleep(seconds)
    found = end()
    return total(reader.channels, found), found


def test_joules_are_the_weighted_mean_of_the_samples_times_the_window():
    added, found = joules(output((1.0, APPLE), (3.0, {**APPLE, "combined_power": 7500.0})), 4.5)
    assert added == pytest.approx(6.5 * 4.5)
    assert found["cpu"] == pytest.approx(3.0 * 4.5)


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"", "told 0 s of a window of 5 s"),
        (output((3.9, APPLE)), "told 3.9 s of a window of 5 s"),
        (output((5.0, {"cpu_power": 1.0})), "not in all the power of the processor"),
        (output((2.5, APPLE), (2.5, {"cpu_power": 1.0})), "not in all the power of the processor"),
        (output((5.0, {"combined_power": 0.0})), "0 W for the processor in every sample"),
    ],
    ids=["died", "ended early", "no sum", "a sample without", "constant 0"],
)
def test_a_fault_is_the_reason(stream, said):
    with pytest.raises(Unavailable, match=said):
        joules(stream, 5.0)


def test_one_that_cannot_be_started_says_why():
    def start():
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(Unavailable, match="cannot be started: No such file"):
        Streaming(start).begin()


def test_only_the_superuser_of_a_mac_finds_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(Unavailable, match="no Mac"):
        powermetrics.find(tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(powermetrics.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 501)
    with pytest.raises(Refused, match="sudo -E"):
        powermetrics.find(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert [channel.name for channel in powermetrics.find(tmp_path).channels] == ["processor"]


def test_a_process_is_stopped_and_what_it_printed_is_read(monkeypatch):
    """A shell in its place, which prints a sample and would wait for ever."""
    sample = output((0.5, APPLE)).decode().replace("\n", "")
    script = f"import sys, time; sys.stdout.write({sample!r}); sys.stdout.flush(); time.sleep(600)"
    monkeypatch.setattr(powermetrics, "COMMAND", (sys.executable, "-c", script))
    running = powermetrics.Running()
    while not os.fstat(running._output.fileno()).st_size:
        assert running._process.poll() is None
    assert len(parse(running.stop())) == 1
    assert running._process.poll() is not None
