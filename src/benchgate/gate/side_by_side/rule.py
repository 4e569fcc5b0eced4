"""The rule over pairs: at fixed looks, is the candidate slower, faster, the same, or must more pairs be made?

A *shift* is the log of candidate over baseline of one pair: 0 where nothing changed. All functions take arrays whose
last axis are the pairs, so that one trial and ten thousand simulated ones go through the same code.

At each look the shifts' Hodges-Lehmann centre has the standard error

    se^2 = 1.06 s^2 / n + b^2 / zygotes

1.06 is about pi / 3, what the centre costs against the mean where shifts are normal. b is the spread of zygotes, which
more pairs of one zygote do not average out. s^2 pools the calibrated variance with the one seen (clipped at 3 sd) and
is never below the calibrated one; where the raw variance is more than twice the calibrated, the raw one counts alone:
a noisier hour must not pass as a quiet one.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchgate.core import DataError
from benchgate.core.arrays import np
from benchgate.core.stats import student_t

Look = Literal["slower", "faster", "same", "open"]
# In the order of their codes in arrays.
LOOKS: tuple[Look, ...] = ("open", "same", "slower", "faster")
OPEN, SAME, SLOWER, FASTER = range(4)
# Relative efficiency of the Hodges-Lehmann centre for normal shifts is 3 / pi; a little above its inverse.
COST_OF_CENTRE = 1.06
CLIP_SD = 3.0
# Beyond ten times as long no gate is meant.
MOST_EXCLUDED = 10.0
RAW_COUNTS_ALONE = 2.0


@dataclass(frozen=True)
class Noise:
    """Standard deviations of log ratios when nothing changed: of pairs of one zygote pair, and of zygote pairs.

    `df` are the degrees of freedom behind `pair_sd`; `source` says where it is from.
    """

    pair_sd: float
    zygote_sd: float
    df: int = 12
    source: str = "assumed"

    def __post_init__(self) -> None:
        if not (self.pair_sd > 0 and self.zygote_sd >= 0 and self.df >= 1):
            raise DataError(
                f"noise of pair_sd={self.pair_sd}, zygote_sd={self.zygote_sd}, df={self.df}: needs pair_sd > 0, "
                "zygote_sd >= 0, df >= 1; run `benchgate calibrate` again"
            )


# Between a good hour (1.2 %) and a bad one (3.5 %) of two virtual cores.
ASSUMED = Noise(pair_sd=0.02, zygote_sd=0.004, source="assumed, not calibrated here")


@dataclass(frozen=True)
class Rule:
    """`margin`: a slowdown up to it is no regression. `excluded`: the slowdown that *same* excludes. Both relative.

    Looks are numbers of pairs; each `a_zygote` pairs have fresh zygotes. Alphas are one-sided. A gate asks for
    slowdowns only; with `both_sides` *same* excludes as large a speedup too, which takes more pairs.
    """

    margin: float = 0.01
    excluded: float = 0.03
    looks: tuple[int, ...] = (3, 4, 6, 8, 11, 15)
    a_zygote: int = 4
    suspect_alpha: float = 0.01
    same_alpha: float = 0.005
    both_sides: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.margin < self.excluded < MOST_EXCLUDED:
            raise DataError(
                f"margin {self.margin:g} and excluded {self.excluded:g}: 0 <= margin < excluded < {MOST_EXCLUDED:g} "
                "is needed"
            )
        if not self.looks or sorted(set(self.looks)) != list(self.looks) or self.looks[0] < 2:
            raise DataError(f"looks {self.looks}: rising numbers of pairs, at least 2, are needed")
        if self.a_zygote < 1 or not (0 < self.suspect_alpha < 0.5 and 0 < self.same_alpha < 0.5):
            raise DataError(
                f"a_zygote {self.a_zygote}, alphas {self.suspect_alpha:g} and {self.same_alpha:g}: at least 1 pair, "
                "and between 0 and 0.5"
            )

    @property
    def most(self) -> int:
        """Pairs after which one test ends without an answer."""
        return self.looks[-1]

    def for_tolerance(self, tolerance: float) -> Rule:
        """Return the rule with a project's tolerance as its margin, and the excluded slowdown as far above it."""
        return replace(self, margin=tolerance, excluded=tolerance + (self.excluded - self.margin))


RULE = Rule()


@dataclass(frozen=True)
class Centre:
    """Centre of the shifts (log), its standard error and degrees of freedom; arrays where the shifts were."""

    shift: Any
    se: Any
    df: Any
    sd: Any


def centre(shifts: Any, zygotes: int, noise: Noise) -> Centre:
    """Return the Hodges-Lehmann centre over the last axis with its standard error."""
    values = np.asarray(shifts, dtype=np.float64)
    n = values.shape[-1]
    middle = _walsh_median(values)
    off = values - middle[..., None]
    degrees = max(n - 1, 1)
    known = noise.pair_sd**2
    raw = (off**2).sum(-1) / degrees
    clip = CLIP_SD * noise.pair_sd
    clipped = (np.clip(off, -clip, clip) ** 2).sum(-1) / degrees
    pooled = np.maximum(known, (noise.df * known + degrees * clipped) / (noise.df + degrees))
    alone = raw > RAW_COUNTS_ALONE * known
    variance = np.where(alone, raw, pooled)
    se = np.sqrt(COST_OF_CENTRE * variance / n + noise.zygote_sd**2 / zygotes)
    return Centre(middle, se, np.where(alone, degrees, noise.df + degrees), np.sqrt(variance))


def _walsh_median(values: Any) -> Any:
    """Median of the means of all pairs of values, each with itself too (Hodges & Lehmann 1963)."""
    first, second = np.triu_indices(values.shape[-1])
    return np.median((values[..., first] + values[..., second]) / 2, axis=-1)


def look(shifts: Any, zygotes: int, rule: Rule, noise: Noise) -> Any:
    """Return codes of LOOKS at one look: SLOWER and FASTER beyond the margin, SAME where `excluded` is, else OPEN."""
    found = centre(shifts, zygotes, noise)
    margin, excluded = math.log1p(rule.margin), math.log1p(rule.excluded)
    room = t_of(rule.suspect_alpha, found.df) * found.se
    width = t_of(rule.same_alpha, found.df) * found.se
    off = np.abs(found.shift) if rule.both_sides else found.shift
    same = off + width < excluded
    slower, faster = found.shift - room > margin, found.shift + room < -margin
    return np.select([slower, faster, same], [SLOWER, FASTER, SAME], OPEN)


def one_test(shifts: Any, zygotes: Any, rule: Rule, noise: Noise) -> tuple[Any, Any]:
    """Return (codes, pairs used) of a whole test over as many pairs as there are, at most the rule's.

    `zygotes` is the number of the zygote pair that each pair is from. Where no look decided, the code is OPEN and the
    pairs are those of the last look that there were pairs for (0: none).
    """
    values, groups = np.asarray(shifts, dtype=np.float64), np.asarray(zygotes)
    codes = np.zeros(values.shape[:-1], dtype=int)
    used = np.zeros(values.shape[:-1], dtype=int)
    for n in rule.looks:
        undecided = codes == OPEN
        if n > values.shape[-1] or not undecided.any():
            break
        found = look(values[undecided, :n], len(np.unique(groups[:n])), rule, noise)
        codes[undecided], used[undecided] = found, n
    return codes, used


def t_of(alpha: float, df: Any) -> Any:
    """Student's t that is exceeded with probability `alpha`, for each df of an array."""
    values, where = np.unique(np.asarray(df), return_inverse=True)
    return np.array([_t(alpha, int(value)) for value in values])[where].reshape(np.shape(df))


@functools.cache
def _t(alpha: float, df: int) -> float:
    return -student_t(alpha, df)


def pairs_needed(found: Centre, rule: Rule, noise: Noise, most: int = 200) -> int | None:
    """Return the pairs after which a look would decide if centre and spread stayed what they are; None above `most`."""
    margin, excluded = math.log1p(rule.margin), math.log1p(rule.excluded)
    off = abs(float(found.shift))
    beyond, within = off - margin, excluded - (off if rule.both_sides else float(found.shift))
    for n in range(rule.looks[0], most + 1):
        se = math.sqrt(COST_OF_CENTRE * float(found.sd) ** 2 / n + noise.zygote_sd**2 / math.ceil(n / rule.a_zygote))
        df = noise.df + n - 1 if float(found.sd) ** 2 <= RAW_COUNTS_ALONE * noise.pair_sd**2 else n - 1
        if beyond > _t(rule.suspect_alpha, df) * se or within > _t(rule.same_alpha, df) * se:
            return n
    return None
