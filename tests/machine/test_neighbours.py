"""What others took: the readers on made-up files of both kinds of cgroup, the rule on its limits, a real neighbour."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from benchgate.machine import neighbours
from benchgate.machine.neighbours import LIMITS, Counters, Taken, disturbances

QUIET = Taken(wall_s=1.0, cpu_s=2.0, delay_s=0.0, others_s=0.0, steal_s=0.0, throttled=0, switches=0)
UNKNOWN = Taken(wall_s=1.0, cpu_s=2.0, delay_s=None, others_s=None, steal_s=None, throttled=None, switches=None)


def test_a_quiet_interval_is_not_disturbed():
    assert disturbances(QUIET, 1.0) == []


def test_what_is_not_counted_disturbs_nothing():
    assert disturbances(UNKNOWN) == []


@pytest.mark.parametrize(
    ("change", "reference", "said"),
    [
        ({"delay_s": 0.106}, None, "waited for a CPU 5% of its time (limit 5%)"),
        ({"others_s": 0.101}, None, "other processes used 10% of a CPU (limit 10%)"),
        ({"steal_s": 0.021}, None, "the host took 2% of a CPU (limit 2%)"),
        ({"throttled": 1}, None, "throttled 1 times by its cgroup"),
        ({}, LIMITS.reference + 0.01, "fixed arithmetic took 1.26 times its best here (limit 1.25)"),
    ],
)
def test_one_past_each_limit_is_named_and_at_the_limit_is_not(change, reference, said):
    assert disturbances(replace(QUIET, **change), reference) == [said]
    at = {"delay_s": 0.10, "others_s": 0.10, "steal_s": 0.02, "throttled": 0}
    assert disturbances(replace(QUIET, **{name: at[name] for name in change}), LIMITS.reference) == []


def test_others_are_not_judged_over_less_than_the_ticks_can_tell():
    short = replace(QUIET, wall_s=0.4, others_s=0.4)
    assert disturbances(short) == []


def test_differences_keep_what_is_unknown_and_are_never_negative():
    before = Counters(1.0, 1.0, 0.5, 2.0, None, 3, 4)
    now = Counters(2.0, 1.5, 0.75, 1.99, None, 5, 4)
    assert now.since(before) == Taken(1.0, 0.5, 0.25, 0.0, None, 2, 0)


@pytest.fixture
def made_proc(tmp_path):
    """A /proc of two CPUs and a process with two threads."""
    proc = tmp_path / "proc"
    for thread, delay in (("10", 1_500_000_000), ("11", 500_000_000)):
        folder = proc / "self" / "task" / thread
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(f"9000 {delay} 7\n")
    rows = [f"cpu{n} 100 10 50 1000 5 1 2 30 99 0" for n in range(max(2, os.cpu_count() or 1))]
    (proc / "stat").write_text("\n".join(["cpu 200 20 100 2000 10 2 4 60 0 0", *rows, "intr 1"]) + "\n")
    return proc


def test_delay_is_summed_over_threads_in_seconds(made_proc):
    assert neighbours.read(made_proc, made_proc).delay_s == 2.0


def test_steal_and_others_come_from_the_systems_ticks(made_proc, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    found = neighbours.read(made_proc, made_proc)
    own = sum(os.times()[:2])
    assert found.steal_s == pytest.approx(0.6)
    assert found.others_s == pytest.approx(3.26 - own, abs=0.1)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("0::/jobs/a", "jobs/a/cpu.stat"),
        ("4:cpu,cpuacct:/jobs/a", "cpu/jobs/a/cpu.stat"),
        ("4:cpu,cpuacct:/outside", "cpu/cpu.stat"),
    ],
    ids=["v2", "v1", "v1-in-a-container"],
)
def test_throttling_is_read_from_either_kind_of_cgroup(made_proc, tmp_path, line, place):
    (made_proc / "self" / "cgroup").write_text(f"1:memory:/x\n{line}\n")
    stat = tmp_path / "cgroup" / place
    stat.parent.mkdir(parents=True)
    stat.write_text("nr_periods 10\nnr_throttled 6\nthrottled_time 1\n")
    assert neighbours.read(made_proc, tmp_path / "cgroup").throttled == 6


def test_a_system_that_tells_nothing_gives_none(tmp_path):
    found = neighbours.read(tmp_path, tmp_path)
    assert (found.delay_s, found.others_s, found.steal_s, found.throttled) == (None, None, None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_real_neighbour_is_counted():
    before = neighbours.read()
    with subprocess.Popen([sys.executable, "-c", "while 1: pass"]) as busy:
        while neighbours.read().wall_s - before.wall_s < 0.6:
            neighbours.reference_s()
        taken = neighbours.read().since(before)
        busy.kill()
    assert taken.others_s > 0.1
    assert disturbances(taken)


def test_the_reference_is_the_median_of_its_repeats():
    ticks = iter([0, 1, 1, 11, 11, 13, 13, 16, 16, 20])
    assert neighbours.reference_s(lambda: next(ticks)) == 3
