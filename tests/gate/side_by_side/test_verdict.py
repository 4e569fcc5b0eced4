"""What a comparison says after its pairs: next steps, verdicts, and what keeps a verdict from being *same*."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.gate.side_by_side.rule import Noise, Rule
from benchgate.gate.side_by_side.statistic import CORRECTED, CPU, DEVICE, WALL, Pair
from benchgate.gate.side_by_side.verdict import DROPS_A_TEST, Test, Verdict, next_step
from tests.gate.side_by_side.builders import a_pair, pairs

RULE, NOISE = Rule(), Noise(0.012, 0.002, source="calibrated")
FIVE = math.log1p(0.05)
TWO = math.log1p(0.02)


def step(*tests):
    return next_step([Test(found) for found in tests], RULE, NOISE)


def verdict(*tests) -> Verdict:
    found = step(*tests)
    assert isinstance(found, Verdict), found
    return found


def test_nothing_is_said_before_the_first_look():
    assert step([]) == "more pairs"
    assert step(pairs([FIVE] * 2)) == "more pairs"


def test_an_unchanged_candidate_is_the_same_after_three_pairs():
    found = verdict(pairs([0.001, -0.002, 0.0]))
    assert (found.kind, found.pairs, found.zygotes, found.statistic) == ("same", 3, 1, CORRECTED)
    assert found.change.low < 0 < found.change.high < 0.03
    assert found.noise == "calibrated"
    assert not found.fails(strict=True)


@pytest.mark.parametrize(("shift", "kind"), [(FIVE, "regressed"), (-FIVE, "improved")])
def test_a_suspect_is_tested_again_and_must_agree(shift, kind):
    first = pairs([shift] * 3)
    assert step(first) == "repeat"
    assert step(first, pairs([shift] * 2, first=1)) == "more pairs"
    found = verdict(first, pairs([shift * 1.02] * 3, first=1))
    assert (found.kind, found.pairs, found.zygotes) == (kind, 6, 2)
    # The repeat's figure: the first one was chosen by being large.
    assert found.change.value == pytest.approx(math.expm1(shift * 1.02))
    assert found.fails() == (kind == "regressed")


@pytest.mark.parametrize(("again", "said"), [(0.0, "same"), (-0.12, "faster"), (TWO, "did not")])
def test_a_repeat_that_does_not_agree_is_inconclusive(again, said):
    noise = Noise(0.02, 0.01)
    tests = [Test(pairs([0.12] * 3)), Test(pairs([again] * 15, first=1))]
    found = next_step(tests, RULE, noise)
    assert isinstance(found, Verdict)
    assert found.kind == "inconclusive"
    assert said in found.reason
    assert found.decide
    assert (found.fails(), found.fails(strict=True)) == (False, True)


def test_after_the_last_look_it_is_inconclusive_and_says_what_would_decide():
    rng = np.random.default_rng(3)
    found = verdict(pairs(rng.normal(TWO, 0.04, 15)))
    assert (found.kind, found.pairs, found.zygotes) == ("inconclusive", 15, 4)
    assert "pairs scatter by" in found.decide
    assert "pairs" in str(found)


def test_cpu_time_never_makes_a_wall_regression_the_same():
    """The calls sleep longer and burn nothing more."""
    slept = {"cpu": 0.0}
    first, again = pairs([FIVE] * 3, **slept), pairs([FIVE] * 3, first=1, **slept)
    assert step(first) == "repeat"
    assert verdict(first, again).kind == "regressed"
    noisy = [a_pair(shift, i // 4, cpu=0.0) for i, shift in enumerate([-0.3, 0.3] * 8)]
    found = verdict(noisy[:15])
    assert found.kind == "inconclusive"
    assert found.beside[CPU].value == pytest.approx(0.0)


def test_cpu_time_finds_what_the_wall_is_too_noisy_for():
    walls = [-0.3, 0.3, 0.1, -0.2, 0.25] * 3
    first = [a_pair(wall, i // 4, cpu=FIVE) for i, wall in enumerate(walls)]
    assert step(first) == "repeat"
    again = [a_pair(wall, 4 + i // 4, cpu=FIVE) for i, wall in enumerate(walls)]
    assert step(first, again[:2]) == "more pairs"
    found = verdict(first, again)
    assert (found.kind, found.statistic) == ("regressed", CPU)
    assert "too noisy" in found.reason
    only_once = [a_pair(wall, 4 + i // 4, cpu=0.0) for i, wall in enumerate(walls)]
    assert verdict(first, only_once).kind == "inconclusive"


def test_where_the_corrected_time_does_not_fit_every_pair_the_wall_decides():
    mixed = [a_pair(FIVE, 0, corrected=None, cpu=None), *pairs([FIVE] * 2)]
    assert step(mixed) == "repeat"
    found = verdict(mixed, pairs([FIVE] * 3, first=1))
    assert found.statistic == WALL
    assert set(found.beside) == {CORRECTED, CPU}


def test_a_repeat_without_the_first_tests_statistic_ends():
    again = [a_pair(FIVE, 1 + i // 4, corrected=None, cpu=None) for i in range(15)]
    assert step(pairs([FIVE] * 3), again[:3]) == "more pairs"
    assert verdict(pairs([FIVE] * 3), again).kind == "inconclusive"


def test_dropped_pairs_decide_nothing_and_are_counted():
    lost = [a_pair(9.0, 0, dropped="waited 50 %") for _ in range(4)]
    found = verdict([*lost, *pairs([0.0] * 3)])
    assert (found.kind, found.pairs, found.dropped) == ("same", 3, 4)
    assert "4 dropped" in str(found)


def test_a_test_that_loses_all_its_pairs_ends_and_says_why():
    lost = [a_pair(0.0, 0, dropped="waited 50 %") for _ in range(DROPS_A_TEST)]
    assert step(lost[:-1]) == "more pairs"
    found = verdict(lost)
    assert (found.kind, found.pairs, found.dropped, found.change) == ("inconclusive", 0, DROPS_A_TEST, None)
    assert "waited 50 %" in found.decide


def test_a_candidate_that_slows_down_is_never_the_same():
    slowing = [a_pair(0.0, 0, trend=trend) for trend in (0.20, 0.21, 0.19)]
    found = verdict(slowing)
    assert found.kind == "inconclusive"
    assert "slows down by 22%" in found.reason
    assert verdict([a_pair(0.0, 0, trend=x) for x in (0.2, -0.2, 0.01)]).kind == "same"


@pytest.mark.parametrize(("side", "grown"), [("candidate", (0, 2**26)), ("baseline", (2**26, 0))])
def test_a_side_that_leaks_is_named_and_never_the_same(side, grown):
    found = verdict(pairs([0.0] * 3, grown=grown, calls=(500, 500)))
    assert found.kind == "inconclusive"
    assert f"the {side} grows while it runs: by 64 MiB in 500 calls" in str(found)
    assert verdict(pairs([0.0] * 3, grown=(2**26, 2**26))).kind == "same"


def test_a_verdict_is_json():
    found = verdict(pairs([0.0] * 3))
    raw = json.loads(json.dumps(found.as_dict()))
    assert raw["kind"] == "same"
    assert raw["text"] == str(found)


@pytest.mark.parametrize(("broken", "fails", "strictly"), [("candidate", True, True), ("baseline", False, True)])
def test_a_side_that_broke_is_never_good(broken, fails, strictly):
    found = Verdict("broken", "died", broken=broken)
    assert (found.fails(), found.fails(strict=True)) == (fails, strictly)


@given(
    st.lists(st.floats(-0.1, 0.1), min_size=0, max_size=16),
    st.lists(st.floats(-0.1, 0.1), min_size=0, max_size=16),
)
def test_every_sequence_of_pairs_comes_to_an_end(first, again):
    """After the last look of the last test no step asks for more; a verdict has its interval."""
    filled = [(values + [0.0] * 15)[:15] for values in (first, again)]
    found = step(pairs(filled[0]))
    if found == "repeat":
        found = step(pairs(filled[0]), pairs(filled[1], first=4))
    assert isinstance(found, Verdict)
    assert found.change is not None
    assert found.change.low <= found.change.value <= found.change.high


def test_the_devices_own_time_is_told_beside_the_wall_that_decides():
    made = [Pair({WALL: 0.0, DEVICE: 0.1}, i // 4) for i in range(15)]
    found = next_step([Test(made)], Rule(), Noise(0.012, 0.004))
    assert isinstance(found, Verdict)
    assert (found.kind, found.statistic) == ("same", WALL)
    assert found.beside[DEVICE].value == pytest.approx(math.expm1(0.1))
