"""Two sides compared: pairs of workers until the rule has its answer.

`side_by_side` does it all in one call. `Comparison` makes pair by pair, for who has several to share a time among.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchgate.gate.numbers import need
from benchgate.gate.side_by_side.pairs import PLAN, Crew, Pairs, Plan, Side, SideBroke, Team
from benchgate.gate.side_by_side.rule import ASSUMED, RULE, Noise, Rule
from benchgate.gate.side_by_side.statistic import Pair
from benchgate.gate.side_by_side.verdict import Test, Verdict, next_step, stopped

# Seconds that a pair is taken to last before there is one.
FIRST_PAIR_S = 5.0


@dataclass(frozen=True)
class Setup:
    """How two sides are compared: `rule`, and the `noise` of pairs on this machine when nothing changed, see
    `calibration`; `plan` of a pair; `seed` of the orders that are drawn, which is in the verdict (None draws one)."""

    rule: Rule = RULE
    noise: Noise = ASSUMED
    plan: Plan = PLAN
    seed: int | None = None


class Comparison:
    """A comparison, pair by pair. Close it afterwards; `pause` ends its processes until the next pair.

    Raises Unavailable without numpy and scipy.
    """

    def __init__(
        self,
        baseline: Side,
        candidate: Side,
        setup: Setup = Setup(),
        crew: Callable[[Side, int], Team] = Crew,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        need("side by side")
        self._setup, self._clock = setup, clock
        self.seed = random.SystemRandom().getrandbits(32) if setup.seed is None else setup.seed
        self._crews = (crew(baseline, self.seed), crew(candidate, self.seed))
        self._pairs = Pairs((baseline, candidate), self._crews, setup.plan, random.Random(self.seed), clock=clock)
        self._tests: list[list[Pair]] = [[]]
        self._broken: Verdict | None = None
        self._zygote, self._of_it = 0, 0
        self.seconds = 0.0

    def verdict(self) -> Verdict | None:
        """The verdict, or None where it takes more pairs. A side that broke is a verdict."""
        step = self._broken or next_step(self._made(), self._setup.rule, self._setup.noise)
        return self._signed(step) if isinstance(step, Verdict) else None

    def pair(self) -> Pair | None:
        """Make the next pair; None where a side broke meanwhile: `verdict` tells."""
        setup = self._setup
        repeat = next_step(self._made(), setup.rule, setup.noise) == "repeat"
        if repeat:
            self._tests.append([])
        if repeat or self._of_it == setup.rule.a_zygote:
            self.pause()
        start = self._clock()
        try:
            made = self._pairs.make(self._zygote)
        except SideBroke as broke:
            found = stopped(self._made(), setup.rule, setup.noise, f"the {broke.side} broke {broke}")
            self._broken = replace(found, kind="broken", broken=broke.side, decide="")
            return None
        finally:
            self.seconds += self._clock() - start
        self._of_it += 1
        self._tests[-1].append(made)
        return made

    def stop(self, reason: str) -> Verdict:
        """The verdict where no further pair shall be made."""
        return self._signed(stopped(self._made(), self._setup.rule, self._setup.noise, reason))

    @property
    def half_width(self) -> float | None:
        """Half of the interval so far, relative; None before there are pairs enough for one."""
        found = stopped(self._made(), self._setup.rule, self._setup.noise, "").change
        return None if found is None or len(self._tests[0]) < 2 else (found.high - found.low) / 2

    @property
    def pair_s(self) -> float:
        """Seconds of a pair so far, on average."""
        made = sum(map(len, self._tests))
        return self.seconds / made if made and self.seconds > 0 else FIRST_PAIR_S

    def pause(self) -> None:
        """End the processes of both sides: the pairs that follow are independent of those before."""
        self._zygote, self._of_it = self._zygote + 1, 0
        for one in self._crews:
            one.renew()

    def close(self) -> None:
        for one in self._crews:
            one.close()

    def _made(self) -> list[Test]:
        return [Test(made) for made in self._tests]

    def _signed(self, found: Verdict) -> Verdict:
        apart = ("the two sides did not fit into memory together",) if self._pairs.apart else ()
        return replace(found, seed=self.seed, seconds=self.seconds, notes=(*found.notes, *apart))


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
        rule, noise, plan, seed: see `Setup`.
        budget_s: after so many seconds no further pair is begun, and what is open then is *inconclusive*.
        on_pair: is shown each pair, those that are dropped too.

    Raises Unavailable where a side cannot be sent to a process, or without numpy and scipy. A side that dies, hangs or
    raises is a verdict.

    Example::

        verdict = side_by_side(Side(load_old, preload=("torch",)), Side(load_new, preload=("torch",)))
        assert not verdict.fails(), verdict
    """
    comparison = Comparison(baseline, candidate, Setup(rule, noise, plan, seed), crew, clock)
    end = None if budget_s is None else clock() + budget_s
    try:
        while (found := comparison.verdict()) is None:
            if end is not None and clock() >= end:
                return comparison.stop("its time was over")
            made = comparison.pair()
            if made is not None and on_pair is not None:
                on_pair(made)
        return found
    finally:
        comparison.close()
