"""Two sides compared: pairs of workers until the rule has its answer. The function to call is `side_by_side`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

from benchgate.gate.side_by_side.pairs import PLAN, Crew, Pairs, Plan, Side, SideBroke, Team
from benchgate.gate.side_by_side.rule import ASSUMED, RULE, Noise, Rule
from benchgate.gate.side_by_side.statistic import Pair
from benchgate.gate.side_by_side.verdict import Test, Verdict, next_step, stopped


def side_by_side(
    baseline: Side,
    candidate: Side,
    *,
    rule: Rule = RULE,
    noise: Noise = ASSUMED,
    plan: Plan = PLAN,
    seed: int | None = None,
    budget_s: float | None = None,
    on_pair: Callable[[Pair], None] | None = None,
    crew: Callable[[Side, int], Team] = Crew,
    clock: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Return the verdict on the candidate's calls against the baseline's.

    Args:
        noise: what pairs scatter by on this machine when nothing changed, see `calibration`.
        seed: of the orders that are drawn; it is in the verdict. None draws one.
        budget_s: after so many seconds no further pair is begun, and what is open then is *inconclusive*.
        on_pair: is shown each pair, those that are dropped too.

    Raises Unavailable where a side cannot be sent to a process. A side that dies, hangs or raises is a verdict.

    Example::

        verdict = side_by_side(Side(load_old, preload=("torch",)), Side(load_new, preload=("torch",)))
        assert not verdict.fails(), verdict
    """
    chosen = random.SystemRandom().getrandbits(32) if seed is None else seed
    crews = (crew(baseline, chosen), crew(candidate, chosen))
    pairs = Pairs((baseline, candidate), crews, plan, random.Random(chosen), clock=clock)
    start = clock()
    try:
        found = _until_decided(
            pairs, crews, rule, noise, None if budget_s is None else start + budget_s, on_pair, clock
        )
    finally:
        for one in crews:
            one.close()
    notes = (*found.notes, *(("the two sides did not fit into memory together",) if pairs.apart else ()))
    return replace(found, seed=chosen, seconds=clock() - start, notes=notes)


def _until_decided(
    pairs: Pairs,
    crews: tuple[Team, Team],
    rule: Rule,
    noise: Noise,
    end: float | None,
    on_pair: Callable[[Pair], None] | None,
    clock: Callable[[], float],
) -> Verdict:
    tests: list[list[Pair]] = [[]]
    zygote, of_it = 0, 0
    while True:
        step = next_step([Test(made) for made in tests], rule, noise)
        if isinstance(step, Verdict):
            return step
        if end is not None and clock() >= end:
            return stopped([Test(made) for made in tests], rule, noise, "its time was over")
        if step == "repeat":
            tests.append([])
        if step == "repeat" or of_it == rule.a_zygote:
            zygote, of_it = zygote + 1, 0
            for one in crews:
                one.renew()
        try:
            made = pairs.make(zygote)
        except SideBroke as broke:
            found = stopped([Test(made) for made in tests], rule, noise, f"the {broke.side} broke {broke}")
            return replace(found, kind="broken", broken=broke.side, decide="")
        of_it += 1
        tests[-1].append(made)
        if on_pair is not None:
            on_pair(made)
