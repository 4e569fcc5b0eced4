"""The rounds of a test: pytest-benchmark's own fixture, once a block, wherever the cell is held."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchgate.measuring import blocks
from benchgate.measuring.blocks import BLOCK_S, Blocks
from benchgate.measuring.timing import After, Plan, Samples
from benchgate.pytest_plugin import replica
from benchgate.pytest_plugin.replica import Options


@dataclass
class BlockRounds:
    """Rounds in blocks, by replicas of a test's fixture; it can be sent to another process and back.

    `patience_s` is how long disturbed blocks may be measured again, `best_reference_s` the fixed arithmetic's best time
    known here. `blocks` and `profile` are what came of it; None where nothing was timed.
    """

    options: Options
    patience_s: float
    best_reference_s: float | None = None
    blocks: Blocks | None = None
    profile: Any = None

    def run(
        self, call: Callable[[], Any], prepare: Callable[[], None] | None, after: After | None, plan: Plan
    ) -> Samples | None:
        """Time a warm call: pytest-benchmark sizes its rounds from one, so it must not be cold.

        Work that is prepared before each call, that goes through turns, or whose call is a block of its own, is timed
        call by call.
        """
        if self.options.disabled:
            if prepare is not None:
                prepare()
            call()
            return None
        max_time, min_rounds = float(self.options.values["max_time"]), int(self.options.values["min_rounds"])
        count = _blocks(plan, min_rounds, max_time)
        if prepare is None and plan.a_pass is None and plan.call_s < BLOCK_S:
            part = self.options.with_values(max_time=max_time / count, min_rounds=math.ceil(min_rounds / count))
            one = replica.timing(part, after, lambda fixture: fixture(call))
        else:
            passes = plan.a_pass or 1
            rounds = math.ceil(plan.rounds(min_rounds, max_time) / count / passes) * passes
            one = replica.timing(self.options, after, lambda f: f.pedantic(call, setup=prepare, rounds=rounds))

        def block() -> tuple[tuple[float, ...], int]:
            found = one()
            self.profile = found.cprofile_stats or self.profile
            return found.samples, found.iterations

        self.blocks = blocks.measure(block, count, self.patience_s, self.best_reference_s, watch=plan.watch)
        return Samples(tuple(self.blocks.samples), self.blocks.kept[0].iterations, self.blocks)

    def give_to(self, fixture: Any) -> None:
        """Give the test's own fixture what was measured, as if it had measured it."""
        kept = () if self.blocks is None else self.blocks.kept
        replica.absorb(fixture, [replica.Rounds(block.samples, block.iterations) for block in kept], self.profile)


def _blocks(plan: Plan, min_rounds: int, max_time: float) -> int:
    """How many blocks of at least BLOCK_S, or of one call, all rounds make; a pass through turns is never parted."""
    calls = plan.rounds(min_rounds, max_time)
    seconds = max(max_time, calls * plan.call_s) if plan.a_pass is None else calls * plan.call_s
    return max(1, min(calls // (plan.a_pass or 1), math.floor(seconds / BLOCK_S)))
