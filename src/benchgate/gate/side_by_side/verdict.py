"""The answers of a comparison, and the pure function that says it: pairs of one or two tests in, a verdict or the next
step out.

A suspect (slower or faster than the margin) is tested again from the beginning with fresh zygotes, and only where that
agrees is it *regressed* or *improved*. The repeat carries the zygotes' own bias and the number of cells of a run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from benchgate.gate.side_by_side import rule as rules
from benchgate.gate.side_by_side.rule import Look, Noise, Rule
from benchgate.gate.side_by_side.statistic import CORRECTED, CPU, DEVICE, WALL, Pair, Statistic

Kind = Literal[
    "regressed", "improved", "same", "inconclusive", "unchanged", "code not exercised", "not comparable", "broken"
]
Step = Literal["more pairs", "repeat"]
# A test may drop as many pairs as it needs before it is given up.
DROPS_A_TEST = 15
# Bytes and share by which a side must grow more than the other, in most pairs, to be called a leak.
LEAK_BYTES, LEAK_SHARE = 16 * 2**20, 0.75


@dataclass(frozen=True)
class Change:
    """Relative change of the candidate against the baseline, 0.05 is 5 % slower, with its two-sided 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1%} (95 %: {self.low:+.1%} to {self.high:+.1%})"


@dataclass(frozen=True)
class Verdict:
    """The answer to "is the candidate slower?".

    `change` is None where nothing was timed; of a verdict that was repeated it is the repeat's, which the suspicion did
    not choose. `decide` says for *inconclusive* what would decide it. `beside` are the other statistics' changes, which
    decide nothing. `broken` names the side that could not be measured.
    """

    kind: Kind
    reason: str = ""
    statistic: Statistic | None = None
    change: Change | None = None
    pairs: int = 0
    dropped: int = 0
    zygotes: int = 0
    decide: str = ""
    noise: str = ""
    broken: str = ""
    seconds: float = 0.0
    seed: int | None = None
    beside: Mapping[str, Change] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def fails(self, strict: bool = False) -> bool:
        """True for what fails a run: slower, or a candidate that broke; strictly also what could not be told."""
        if self.kind == "regressed" or (self.kind == "broken" and self.broken == "candidate"):
            return True
        return strict and self.kind in ("inconclusive", "not comparable", "broken")

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "notes": list(self.notes), "text": str(self)}

    def __str__(self) -> str:
        parts: list[str] = [self.kind]
        if self.change is not None:
            how = f" by {self.statistic}, {self.pairs} pairs of {self.zygotes} zygote pairs" if self.statistic else ""
            parts.append(f": {self.change}{how}" if self.statistic else f": {self.change.value:+.2%}")
        if self.dropped:
            parts.append(f", {self.dropped} dropped")
        if self.reason:
            parts.append(f": {self.reason}" if self.change is None else f"; {self.reason}")
        if self.decide:
            parts.append(f"; {self.decide}")
        return "".join([*parts, *(f"; {note}" for note in self.notes)])


@dataclass(frozen=True)
class Test:
    """One test's pairs, those that were dropped too, and what the rule says of the kept ones by one statistic."""

    __test__ = False

    pairs: Sequence[Pair]

    @property
    def kept(self) -> list[Pair]:
        return [pair for pair in self.pairs if not pair.dropped]

    def answer(self, statistic: Statistic, rule: Rule, noise: Noise) -> tuple[Look, int]:
        """Return the answer of the first look that decided and the pairs it took; ("open", pairs) before one did."""
        kept = self.kept
        shifts = [pair.shifts[statistic] for pair in kept if statistic in pair.shifts]
        if not shifts or len(shifts) < len(kept):
            return "open", 0
        code, used = rules.one_test(shifts, [pair.zygote for pair in kept], rule, noise)
        return rules.LOOKS[int(code)], int(used)

    def is_over(self, rule: Rule) -> bool:
        """True after the last look, or where too many pairs had to be dropped."""
        return len(self.kept) >= rule.most or len(self.pairs) - len(self.kept) >= DROPS_A_TEST


def next_step(tests: Sequence[Test], rule: Rule, noise: Noise) -> Step | Verdict:
    """Return what is to be done after these pairs: one more pair, the repeat with fresh zygotes, or the verdict.

    `tests` is the first test and, once it was asked for, the repeat.
    """
    statistic = deciding(tests[0])
    first, used = tests[0].answer(statistic, rule, noise)
    if first == "open":
        return _open(tests, statistic, rule, noise)
    if len(tests) == 1 and first in ("slower", "faster"):
        return "repeat"
    if len(tests) == 1:
        return _guarded(_verdict("same", tests, [used], statistic, rule, noise), tests, rule, noise)
    again, used_again = tests[1].answer(statistic, rule, noise)
    if again == "open" and not tests[1].is_over(rule):
        return "more pairs"
    if again == first:
        return _verdict(
            "regressed" if first == "slower" else "improved", tests, [used, used_again], statistic, rule, noise
        )
    reason = f"the first test said {first}, its repeat with fresh zygotes {'did not' if again == 'open' else again}"
    return _verdict("inconclusive", tests, [used, used_again], statistic, rule, noise, reason)


def _open(tests: Sequence[Test], statistic: Statistic, rule: Rule, noise: Noise) -> Step | Verdict:
    """The step where the deciding statistic says nothing: CPU time may still find a slowdown, and never *same*."""
    if not tests[0].is_over(rule):
        return "more pairs"
    secondary: Statistic = CPU
    by_cpu = tests[0].answer(secondary, rule, noise)
    used = [len(test.kept) for test in tests]
    if by_cpu[0] != "slower":
        return _verdict("inconclusive", tests, used, statistic, rule, noise)
    if len(tests) == 1:
        return "repeat"
    again = tests[1].answer(secondary, rule, noise)
    if again[0] == "open" and not tests[1].is_over(rule):
        return "more pairs"
    if again[0] == "slower":
        reason = f"{statistic} was too noisy to tell"
        return _verdict("regressed", tests, [by_cpu[1], again[1]], secondary, rule, noise, reason)
    return _verdict("inconclusive", tests, used, statistic, rule, noise, "CPU time rose in the first test only")


def stopped(tests: Sequence[Test], rule: Rule, noise: Noise, reason: str) -> Verdict:
    """The verdict where no further pair can be made: inconclusive, with the reason and all pairs so far."""
    used = [len(test.kept) for test in tests]
    return _verdict("inconclusive", tests, used, deciding(tests[0]), rule, noise, reason)


def deciding(test: Test) -> Statistic:
    """The statistic that decides: corrected wall time where it fits every pair, else wall time. No ratio is looked at.

    The first test's holds for the repeat too.
    """
    kept = test.kept
    return CORRECTED if kept and all(CORRECTED in pair.shifts for pair in kept) else WALL


def change_of(pairs: Sequence[Pair], statistic: Statistic, noise: Noise) -> Change | None:
    """Relative change by one statistic over these pairs, None where it does not fit all of them."""
    shifts = [pair.shifts[statistic] for pair in pairs if statistic in pair.shifts]
    if not shifts or len(shifts) < len(pairs):
        return None
    found = rules.centre(shifts, len({pair.zygote for pair in pairs}), noise)
    half = float(rules.t_of(0.025, found.df)) * float(found.se)
    middle = float(found.shift)
    return Change(*(math.expm1(shift) for shift in (middle, middle - half, middle + half)))


def _verdict(
    kind: Kind,
    tests: Sequence[Test],
    used: Sequence[int],
    statistic: Statistic,
    rule: Rule,
    noise: Noise,
    reason: str = "",
) -> Verdict:
    parts = [test.kept[:n] for test, n in zip(tests, used, strict=False)]
    everything = [pair for part in parts for pair in part]
    shown = everything if kind == "inconclusive" else parts[-1]
    others = {name: change_of(shown, name, noise) for name in (WALL, CORRECTED, CPU, DEVICE) if name != statistic}
    verdict = Verdict(
        kind,
        reason,
        statistic,
        change_of(shown, statistic, noise) if shown else None,
        len(everything),
        sum(len(test.pairs) - len(test.kept) for test in tests),
        sum(len({pair.zygote for pair in part}) for part in parts),
        noise=noise.source,
        seconds=sum(pair.wall_s for test in tests for pair in test.pairs),
        beside={name: change for name, change in others.items() if change is not None},
        notes=leaks(everything),
    )
    return verdict if kind != "inconclusive" else _told(verdict, shown, tests, rule, noise)


def _told(verdict: Verdict, shown: Sequence[Pair], tests: Sequence[Test], rule: Rule, noise: Noise) -> Verdict:
    """An inconclusive verdict with what would decide it."""
    statistic = verdict.statistic or WALL
    fitting = [pair for pair in shown if statistic in pair.shifts]
    last = next((pair.dropped for test in tests for pair in reversed(test.pairs) if pair.dropped), "")
    if len(fitting) < rule.looks[0]:
        decide = f"give it more time: {rule.looks[0]} pairs at least are needed"
        if last:
            decide = f"one side was disturbed and the other not ({last}): run it again on a machine with less beside it"
        return replace(verdict, decide=decide)
    found = rules.centre([pair.shifts[statistic] for pair in fitting], len({pair.zygote for pair in fitting}), noise)
    sd = f"pairs scatter by {float(found.sd):.1%}"
    needed = rules.pairs_needed(found, rule, noise)
    if needed is None:
        decide = f"{sd}, and the change is too near what is allowed: no number of pairs up to 200 would decide it here"
    elif needed <= len(shown):
        decide = f"{sd}: run it again, it is at the edge"
    else:
        decide = f"{sd}: about {needed} pairs would decide it, or a quieter machine"
    return replace(verdict, decide=decide)


def _guarded(verdict: Verdict, tests: Sequence[Test], rule: Rule, noise: Noise) -> Verdict:
    """*Same* only where the candidate neither slowed down nor leaked while it ran: the longer, the slower then."""
    if verdict.notes:
        return replace(verdict, kind="inconclusive", reason="a side leaks", decide="find what grows with each call")
    kept = tests[0].kept[: verdict.pairs]
    drifts = [pair.trend for pair in kept]
    middle = statistics.median(drifts)
    spread = statistics.stdev(drifts) / math.sqrt(len(drifts))
    room = float(rules.t_of(rule.suspect_alpha, len(drifts) - 1)) * spread
    if middle - room > math.log1p(rule.excluded):
        return replace(
            verdict,
            kind="inconclusive",
            reason=f"the candidate slows down by {math.expm1(middle):.0%} more than the baseline while it runs",
            decide="give it longer blocks, or find what grows with each call",
        )
    return verdict


def leaks(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Notes on a side that takes more memory the longer it runs, in most pairs, by more than the other."""
    found = []
    for side, name in enumerate(("baseline", "candidate")):
        more = [pair.grown[side] - max(pair.grown[1 - side], 0) for pair in pairs]
        if more and sum(grown > LEAK_BYTES for grown in more) >= LEAK_SHARE * len(more):
            calls = statistics.median(max(pair.calls[side], 1) for pair in pairs)
            found.append(
                f"the {name} grows while it runs: by {statistics.median(more) / 2**20:.0f} MiB in {calls:.0f} calls"
            )
    return tuple(found)
