"""The driver on fake workers: pairs, zygotes, orders, memory, and every way a side can go wrong."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from benchgate.core import Unavailable
from benchgate.gate.side_by_side.driver import side_by_side
from benchgate.gate.side_by_side.pairs import Pairs, Plan
from benchgate.gate.side_by_side.rule import Noise
from benchgate.machine.workers import WorkerDied, WorkerKilledForMemory, WorkerTimeout
from tests.gate.side_by_side.fakes import MIB, Script, World, side

NOISE = Noise(0.012, 0.002)
OLD, NEW = side("old"), side("new")


def noisy(base, sd=0.004, seed=0):
    """Seconds of a call: each worker has a level of its own."""
    return lambda worker, block: base * (1 + sd * random.Random(f"{seed}-{worker}").gauss(0, 1))


def compared(old, new, world=None, **options):
    world = world or World()
    options = {"noise": NOISE, "seed": 7, "clock": lambda: world.now, **options}
    found = side_by_side(OLD, NEW, crew=world.crew({"old": old, "new": new}), **options)
    assert world.alive == 0
    assert world.log[-2:] == ["close old", "close new"]
    return found, world


@pytest.mark.parametrize(
    ("base", "kind"), [(0.010, "same"), (0.0105, "regressed"), (0.0110, "regressed"), (0.0095, "improved")]
)
@pytest.mark.parametrize("scale", [1.0, 0.002, 2000.0], ids=["10 ms", "20 us", "20 s"])
def test_verdicts(base, kind, scale):
    found, _ = compared(Script(noisy(0.010 * scale)), Script(noisy(base * scale, seed=1)))
    assert found.kind == kind, found
    assert (found.seed, found.noise) == (7, "assumed")


def test_a_suspect_is_repeated_with_fresh_zygotes():
    found, world = compared(Script(noisy(0.010)), Script(noisy(0.011)))
    assert (found.kind, found.pairs, found.zygotes) == ("regressed", 6, 2)
    loads = world.log[:-2]
    assert loads.count("load old") == loads.count("load new") == 6
    renewed = loads.index("renew old")
    assert loads[:renewed].count("load old") == 3


def test_zygotes_are_fresh_every_four_pairs():
    found, world = compared(Script(noisy(0.010, 0.06)), Script(noisy(0.0102, 0.06, 1)))
    assert (found.kind, found.pairs, found.zygotes) == ("inconclusive", 15, 4)
    renewals = [i for i, line in enumerate(world.log) if line == "renew old"]
    assert [world.log[:i].count("load old") for i in renewals] == [4, 8, 12]


def test_a_seed_gives_the_same_orders():
    orders = []
    for seed in (1, 1, 2):
        made = []
        compared(Script(noisy(0.01)), Script(noisy(0.01, seed=1)), seed=seed, on_pair=made.append)
        orders.append([pair.order for pair in made])
    assert orders[0] == orders[1] != orders[2]
    # In turn: each cycle has both sides once.
    assert all({order[i : i + 2] for i in range(0, 32, 2)} <= {"AB", "BA"} for order in orders[0])
    assert all(len(order) == 32 for order in orders[0])


def test_without_a_seed_one_is_drawn_and_kept():
    found, _ = compared(Script(), Script(), seed=None)
    assert isinstance(found.seed, int)


@pytest.mark.parametrize(("call_s", "cycles"), [(20e-6, 16), (0.03, 16), (0.125, 16), (0.25, 8), (1.01, 2), (20.0, 2)])
def test_long_calls_have_fewer_blocks(call_s, cycles):
    assert Plan().cycles_for(call_s) == cycles


def died():
    return WorkerDied("was killed by signal 11 (SIGSEGV)")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (died(), "SIGSEGV"),
        (WorkerTimeout("not done within 600 s"), "not done within 600 s"),
        (ValueError("bad shape"), "ValueError: bad shape"),
        (WorkerKilledForMemory("out of memory: killed"), "out of memory"),
    ],
)
@pytest.mark.parametrize(("at", "place"), [(-1, "while it loaded"), (2, "in block 3")])
def test_a_side_that_breaks_is_named_and_never_the_same(error, said, at, place):
    breaks = Script(fails=lambda worker, block: error if (worker, block) == (1, at) else None)
    plan = Plan(together=True)
    found, _ = compared(Script(), breaks, plan=plan)
    assert (found.kind, found.broken, found.pairs) == ("broken", "candidate", 1)
    assert f"the candidate broke {place}" in str(found)
    assert said in str(found)
    assert found.fails()
    found, _ = compared(breaks, Script(), plan=plan)
    assert (found.kind, found.broken) == ("broken", "baseline")
    assert (found.fails(), found.fails(strict=True)) == (False, True)


def test_what_cannot_be_sent_is_the_callers_to_answer():
    with pytest.raises(Unavailable, match="lambda"):
        compared(Script(), Script(fails=lambda worker, block: Unavailable("a lambda cannot be sent")))


def test_a_candidate_that_leaks_is_inconclusive():
    leaking = Script(rss_bytes=lambda block: (100 + 20 * max(block, 0)) * MIB)
    found, _ = compared(Script(), leaking)
    assert found.kind == "inconclusive"
    assert "the candidate grows while it runs: by 300 MiB in 48 calls" in str(found)


def test_a_candidate_that_slows_down_while_it_runs_is_never_the_same():
    slowing = Script(lambda worker, block: 0.0080 * 1.03 ** max(block, 0))
    found, _ = compared(Script(), slowing)
    assert found.kind == "inconclusive"
    assert "slows down" in found.reason


def test_sides_that_do_not_fit_together_are_loaded_one_after_the_other():
    world = World()
    pairs = Pairs(
        (OLD, NEW),
        tuple(world.crew({"old": Script(), "new": Script()})(one, 0) for one in (OLD, NEW)),
        Plan(),
        random.Random(0),
        free=lambda: 50 * MIB,
        clock=lambda: world.now,
    )
    made = pairs.make(0)
    assert pairs.apart
    assert made.order in ("ABBA", "BAAB")
    assert world.alive == 0
    # One was loaded before it was known, then four.
    assert len([line for line in world.log if line.startswith("load")]) == 5
    assert sum(made.calls) == 4 * 8 * 3


def test_memory_that_ends_while_the_second_side_loads_takes_them_apart():
    loads = []

    def once(worker, block):
        loads.append((worker, block))
        return WorkerKilledForMemory("out of memory: killed") if len(loads) == 1 else None

    found, _ = compared(Script(), Script(fails=once), seed=first_drawn("old"))
    assert found.kind == "same"
    assert "did not fit into memory together" in str(found)
    loads.clear()
    found, _ = compared(Script(), Script(fails=once), seed=first_drawn("old"), plan=Plan(together=True))
    assert (found.kind, found.broken) == ("broken", "candidate")


def test_a_side_that_does_not_fit_alone_is_broken():
    never = Script(fails=lambda worker, block: WorkerKilledForMemory("out of memory: killed"))
    for seed in (first_drawn("old"), first_drawn("new")):
        found, _ = compared(Script(), never, seed=seed)
        assert (found.kind, found.broken) == ("broken", "candidate")


def first_drawn(name):
    """A seed whose first draw loads this side first."""
    return next(seed for seed in range(99) if random.Random(seed).sample((0, 1), 2)[0] == ("old", "new").index(name))


def test_its_time_being_over_is_inconclusive():
    found, world = compared(Script(), Script(), budget_s=0.1)
    assert (found.kind, found.pairs) == ("inconclusive", 1)
    assert "its time was over" in str(found)
    assert "3 pairs at least" in found.decide
    assert found.seconds == pytest.approx(world.now)


def test_both_sides_share_a_cpu_that_changes_each_cycle(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {4, 5}, raising=False)
    _, world = compared(Script(), Script())
    assert world.cpus[:6] == [{4}, {4}, {5}, {5}, {4}, {4}]
    _, world = compared(Script(), Script(), plan=Plan(pinning="free"))
    assert set(world.cpus) == {None}


def test_sides_on_several_threads_are_not_pinned():
    world = World()
    crews = [world.crew({"old": Script(), "new": Script()})(one, 0) for one in (OLD, NEW)]
    Pairs((OLD, replace(NEW, threads=2)), tuple(crews), Plan(), random.Random(0)).make(0)
    assert set(world.cpus) == {None}


def test_several_workers_a_side_take_turns():
    made = []
    _, world = compared(Script(), Script(), plan=Plan(workers=2, cycles=2), on_pair=made.append)
    assert world.log.count("load old") == 2 * len(made)
    assert all(len(pair.order) == 2 * 2 * 2 for pair in made)
