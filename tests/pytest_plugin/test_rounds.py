"""Rounds in blocks: how many blocks, calls one by one or many in a round, what the test's own fixture is given."""

from __future__ import annotations

import cloudpickle
import pytest

from benchgate.machine import neighbours
from benchgate.measuring.blocks import BLOCK_S
from benchgate.measuring.timing import Plan
from benchgate.pytest_plugin import benchmark_adapter
from benchgate.pytest_plugin.rounds import BlockRounds, _blocks


@pytest.mark.parametrize(
    ("call_s", "a_pass", "min_rounds", "max_time", "blocks"),
    [
        # the default limits: one block, five of a call each, a second or more a block
        (1e-6, None, 5, 1.0, 1),
        (0.3, None, 5, 1.0, 1),
        (0.5, None, 5, 1.0, 2),
        (2.0, None, 5, 1.0, 5),
        (0.001, None, 5, 60.0, 60),
        # never fewer than one, never more than there are calls
        (1e-9, None, 1, 0.0, 1),
        (100.0, None, 1, 1.0, 1),
        # a pass through turns stays in one block
        (0.4, 10, 5, 1.0, 1),
        (0.4, 10, 25, 1.0, 3),
        (0.001, 10, 5, 1.0, 1),
    ],
)
def test_rounds_are_parted_into_blocks_of_a_second_or_a_call(call_s, a_pass, min_rounds, max_time, blocks):
    assert _blocks(Plan(call_s, a_pass), min_rounds, max_time) == blocks
    assert BLOCK_S == 1.0


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr(neighbours, "disturbances", lambda *_: [])


@pytest.fixture
def options(request, benchmark):
    return benchmark_adapter.options(request.node, benchmark).with_values(max_time=0.002, min_rounds=4)


def test_short_calls_are_pytest_benchmarks_own_to_size(options, quiet, benchmark):
    rounds = BlockRounds(options, 0.0)
    # So short that no mood of the machine makes one call fill a round.
    found = rounds.run(lambda: None, None, None, Plan(1e-6, None))
    assert found.iterations > 1
    assert len(found.seconds) >= 4
    rounds.give_to(benchmark)
    assert benchmark.stats.stats.data == pytest.approx(list(found.seconds))
    assert benchmark.stats.iterations == found.iterations


@pytest.mark.parametrize(("prepared", "a_pass"), [(True, None), (False, 3)])
def test_prepared_calls_and_turns_are_timed_one_by_one(options, quiet, benchmark, prepared, a_pass):
    log = []
    rounds = BlockRounds(options, 0.0)
    found = rounds.run(
        lambda: log.append("call"), (lambda: log.append("prepare")) if prepared else None, None, Plan(1.0, a_pass)
    )
    assert found.iterations == 1
    assert log.count("call") == len(found.seconds) >= 4
    assert len(found.seconds) % (a_pass or 1) == 0
    assert log.count("prepare") == (log.count("call") if prepared else 0)
    rounds.give_to(benchmark)


def test_after_is_told_the_timed_calls_of_each_round(options, quiet, benchmark):
    told, calls = [], []
    rounds = BlockRounds(options, 0.0)
    found = rounds.run(lambda: calls.append(1), lambda: None, told.append, Plan(0.01, None))
    assert told == [1] * len(found.seconds)
    rounds.give_to(benchmark)


def test_switched_off_it_is_one_call_and_no_stats(options, benchmark):
    off = type(options)(options.name, options.fullname, True, options.values)
    calls = []
    rounds = BlockRounds(off, 0.0)
    assert rounds.run(lambda: calls.append(1), None, None, Plan(0.01, None)) is None
    assert calls == [1]
    rounds.give_to(benchmark)
    assert benchmark.stats is None


def test_it_goes_to_another_process_and_back_with_what_it_measured(options, quiet, benchmark):
    rounds = BlockRounds(options.with_values(cprofile=True), 0.0)
    rounds.run(lambda: sum(range(100)), None, None, Plan(1e-6, None))
    back = cloudpickle.loads(cloudpickle.dumps(rounds))
    assert back.blocks == rounds.blocks
    assert back.profile.stats == rounds.profile.stats
    back.give_to(benchmark)
    assert benchmark.stats.cprofile_stats.stats == rounds.profile.stats
