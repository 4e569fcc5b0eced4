"""The driver on real processes: nothing here depends on how fast they are."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchgate.gate.side_by_side.driver import side_by_side
from benchgate.gate.side_by_side.pairs import Crew, Plan, Side
from benchgate.gate.side_by_side.rule import Noise, Rule
from benchgate.gate.side_by_side.statistic import WALL
from tests.gate.side_by_side.loads import adding, dying_in_its_tenth_call, failing_to_load, hanging

# Any machine's pairs are within this noise: three pairs say "same".
LOUD, LENIENT = Noise(0.5, 0.0), Rule(margin=0.9, excluded=0.99)
SHORT = Plan(block_s=0.002, cycles=2, timeout_s=60.0)


def compared(candidate: Callable[[], Callable[[], object]], plan: Plan = SHORT):
    return side_by_side(Side(adding), Side(candidate), noise=LOUD, rule=LENIENT, plan=plan, seed=1)


def test_pairs_of_forks_are_timed():
    made = []
    found = side_by_side(
        Side(adding), Side(adding), noise=LOUD, rule=LENIENT, plan=SHORT, seed=1, budget_s=3600, on_pair=made.append
    )
    # Beside a busy process pairs may be dropped, all of them too.
    assert found.pairs + found.dropped == len(made) >= 3
    assert all(WALL in pair.shifts and min(pair.calls) > 0 for pair in made)


@pytest.mark.parametrize(
    ("load", "said", "timeout_s"),
    [
        (dying_in_its_tenth_call, "SIGSEGV", 60.0),
        (failing_to_load, "while it loaded: ValueError: no such weights", 60.0),
        (hanging, "while it loaded: not done within 1 s", 1.0),
    ],
)
def test_a_side_that_ends_is_broken(load, said, timeout_s):
    found = compared(load, Plan(block_s=0.05, cycles=8, timeout_s=timeout_s))
    assert (found.kind, found.broken) == ("broken", "candidate"), found
    assert said in found.reason


@pytest.mark.skipif(sys.platform != "linux", reason="zygotes are Linux's")
def test_a_crew_forks_and_gets_over_a_killed_zygote():
    crew = Crew(Side(adding))
    try:
        first = crew.worker()
        assert crew.fresh == ""
        assert first.process.call(os.getppid) == crew._zygote.pid
        os.kill(crew._zygote.pid, signal.SIGKILL)
        os.waitid(os.P_PID, crew._zygote.pid, os.WEXITED | os.WNOWAIT)
        second = crew.worker()
        assert second.begin(60.0).call_s > 0
        before = crew._zygote.pid
        second.close()
        crew.renew()
        third = crew.worker()
        assert crew._zygote.pid != before
        third.close()
        first.close()
    finally:
        crew.close()


def test_both_sides_of_a_zygote_pair_have_the_same_hashes_and_the_next_others():
    crews = [Crew(Side(adding), seed=3) for _ in range(2)]
    found = []
    for _ in range(2):
        workers = [crew.worker() for crew in crews]
        found.append([worker.process.call(hash, "text") for worker in workers])
        for worker, crew in zip(workers, crews, strict=True):
            worker.close()
            crew.renew()
    (first, also_first), (second, also_second) = found
    assert (first, second) == (also_first, also_second)
    assert first != second


def test_a_device_with_a_driver_is_not_forked():
    crew = Crew(Side(adding, device="cuda"))
    worker = crew.worker()
    assert "cuda" in crew.fresh
    assert worker.begin(60.0).threads >= 1
    worker.close()
    crew.close()


def test_a_module_that_leaves_threads_makes_fresh_interpreters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    crew = Crew(Side(adding, preload=("threaded",)))
    worker = crew.worker()
    assert "threads" in crew.fresh
    worker.close()
    crew.close()
