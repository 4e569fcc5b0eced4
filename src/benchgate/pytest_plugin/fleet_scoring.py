"""The shards of a fleet's scoring: which are wanted, which are there, and what a test is given when all are.

What is there is kept on disk, and a run that is resumed (`--cell-resume`) scores the rest only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchgate.core import BenchgateError
from benchgate.measuring.sharded import differences
from benchgate.schemes import REFERENCE
from benchgate.storage.resumable import Resumable

# Ray counts in steps of a ten-thousandth.
STEPS = 10_000


@dataclass
class Sharded:
    """One test: `kept` has the answers of shards by number; `away` are the numbers that nodes are scoring now, `fresh`
    those that this run scored itself. `share` is what a shard takes of a node."""

    of: int
    share: float
    kept: Resumable
    away: set[int] = field(default_factory=set)
    fresh: set[int] = field(default_factory=set)
    nodes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return len(self.kept) == self.of and not self.away


class Scoring:
    """All tests of a run that are scored in at most `most` shards, below the project's `root`."""

    def __init__(self, root: Path, most: int) -> None:
        self._root, self.most = root, most
        self._tests: dict[str, Sharded] = {}
        # All answers of reference cells: other cells' tests are held against them, on whatever node.
        self._references: dict[str, dict[str, Any]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def begin(self, test: str, plan: Mapping[str, int]) -> list[int]:
        """The numbers of the shards to score, by what a node told of the test: all but those that are there.

        One is scored in any case: by it is known what the others must be of.
        """
        of = min(self.most, plan["items"])
        kept = self._stack.enter_context(Resumable(["shards", str(self._root), test, of]))
        share = min(1.0, math.floor(STEPS * plan["threads"] / plan["cores"]) / STEPS)
        wanted = [number for number in range(of) if str(number) not in kept] or [0]
        self._tests[test] = Sharded(of, share, kept, set(wanted))
        return wanted

    def __getitem__(self, test: str) -> Sharded:
        return self._tests[test]

    def take(self, test: str, number: int, found: Mapping[str, Any], where: dict[str, Any]) -> list[int]:
        """Keep a shard's answers. Returns the numbers to score anew: what an interrupted run scored of something else.

        Raises BenchgateError where two nodes scored different things.
        """
        one = self._tests[test]
        strange = {
            int(n): why for n, part in one.kept.items() if (why := differences(part["about"], found["about"]))
        }  # fmt: skip
        if mine := sorted(one.fresh & strange.keys()):
            raise BenchgateError(f"shards {mine[0]} and {number} were scored with different things: {strange[mine[0]]}")
        one.kept[str(number)] = dict(found)
        one.kept.sync()
        one.away.discard(number)
        one.fresh.add(number)
        one.nodes.append({"shard": number, **where})
        again = strange.keys() - one.away - {number}
        one.away |= again
        return sorted(again)

    def given(self, test: str) -> dict[str, Any]:
        """The answers of all shards as one part."""
        parts = self._tests[test].kept.values()
        answers = {name: answer for part in parts for name, answer in part["answers"].items()}
        whole = {"about": next(iter(parts))["about"], "answers": answers}
        if whole["about"]["cell"].get("scheme") == REFERENCE["scheme"]:
            self._references[test] = whole
        return whole

    def references(self, test: str) -> list[dict[str, Any]]:
        """The answers of other tests' reference cells of the same model, as far as they are there."""
        model = next(iter(self._tests[test].kept.values()))["about"]["cell"].get("model")
        others = (one for other, one in self._references.items() if other != test)
        return [one for one in others if one["about"]["cell"].get("model") == model]

    @property
    def wanted(self) -> bool:
        """True where tests are to be scored in shards."""
        return self.most > 1

    def nodes(self, test: str) -> list[dict[str, Any]]:
        """The nodes that scored the test's shards in this run."""
        return self._tests[test].nodes if test in self._tests else []

    def end(self, test: str) -> None:
        """Forget the shards of a test that is finished, or that is scored whole."""
        if test in self._tests:
            self._tests.pop(test).kept.discard()

    def count(self) -> tuple[int, int]:
        """(shards that are there, shards of all tests that are scored now)."""
        return sum(len(one.kept) for one in self._tests.values()), sum(one.of for one in self._tests.values())
