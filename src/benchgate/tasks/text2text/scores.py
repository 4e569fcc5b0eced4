"""How good rewritten queries are: exact match, token F1, chrF, BLEU and ROUGE-L, each with a 95 % interval.

Answer and reference are compared in the form of `rewrites.normalise`: case, punctuation and spacing decide nothing, as
in a search. Articles stay, unlike in SQuAD's script. chrF and BLEU are sacrebleu's, from 0 to 100; ROUGE-L is
rouge-score's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchgate.core import DataError, Metric, Unavailable, stats
from benchgate.core.arrays import np
from benchgate.core.metrics import metric
from benchgate.core.stats import Estimate
from benchgate.machine.packages import missing_packages
from benchgate.tasks.text2text.rewrites import Rewrite, normalise

NEEDS = {"sacrebleu": "text2text", "rouge_score": "text2text"}
RESAMPLES = 1000


def score_texts(answers: Sequence[str], references: Sequence[str]) -> dict[str, Metric]:
    """The five metrics of answers against one reference each, in the same order.

    Raises DataError for none or not equally many, Unavailable where the scoring packages are not installed.
    """
    if len(answers) != len(references) or not answers:
        raise DataError(
            f"{len(answers)} answers to {len(references)} references; score one answer to each, at least one"
        )
    if reason := missing_packages(NEEDS):
        raise Unavailable(reason)
    said, meant = [normalise(text) for text in answers], [normalise(text) for text in references]
    pairs = list(zip(said, meant, strict=True))
    return {
        "exact_match": _exact_match("exact_match", [a == b for a, b in pairs]),
        "token_f1": _mean("token_f1", [token_f1(a, b) for a, b in pairs], "mean F1 of word bags, as in SQuAD"),
        "chrf": _corpus("chrf", said, meant),
        "bleu": _corpus("bleu", said, meant),
        "rouge_l": _mean("rouge_l", _rouge_l(pairs), "mean ROUGE-L F1, rouge-score, words without stemming"),
    }


def score_copies(examples: Sequence[Rewrite]) -> dict[str, Metric]:
    """The same metrics for answering with the query as it came: the least that a model must beat."""
    return score_texts([example.query for example in examples], [example.reformulation for example in examples])


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of the word bags' precision and recall (Rajpurkar et al. 2016); two empty texts are equal."""
    said, meant = Counter(answer.split()), Counter(reference.split())
    if not said or not meant:
        return float(said == meant)
    return 2 * (said & meant).total() / (said.total() + meant.total())


def copied(examples: Sequence[Rewrite]) -> Metric:
    """Of `score_copies` only the exact match, as the metric that stands beside a model's own."""
    return _exact_match("exact_match_copy", [normalise(e.query) == normalise(e.reformulation) for e in examples])


def _exact_match(name: str, hits: Sequence[bool]) -> Metric:
    share = stats.proportion(sum(hits), len(hits))
    return metric(
        name,
        share.value,
        n=share.n,
        low=share.low,
        high=share.high,
        method="equal in normal form; Wilson interval",
        examples=tuple(map(float, hits)),
    )


def _mean(name: str, values: Sequence[float], how: str) -> Metric:
    found = bootstrap_mean(values)
    return metric(
        name,
        found.value,
        n=found.n,
        low=found.low,
        high=found.high,
        method=f"{how}; percentile bootstrap over examples",
        examples=tuple(values),
    )


def bootstrap_mean(values: Sequence[float]) -> Estimate:
    """Mean with its interval from `resampled_sums`; no interval for a single value."""
    sample = np.asarray(values, dtype=np.float64)
    n, value = len(sample), float(sample.mean())
    return Estimate(value, *_bounds(resampled_sums(sample[:, None])[:, 0] / n, n), n)


def resampled_sums(table: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Column sums [resamples, k] of seeded bootstrap samples (Efron 1979) of the rows of `table` [n, k]."""
    n = len(table)
    # How often each row is drawn.
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return np.asarray(times @ table)


def _bounds(scores: Sequence[float] | np.ndarray, n: int) -> tuple[float | None, float | None]:
    if n < 2:
        return None, None
    low, high = np.quantile(np.asarray(scores, dtype=np.float64), [0.025, 0.975])
    return float(low), float(high)


def _corpus(name: str, answers: Sequence[str], references: Sequence[str]) -> Metric:
    """sacrebleu's score of the whole, and the interval of its scores of resamples.

    sacrebleu's own bootstrap fails where some resamples score 0 (it then averages float and float32), so the resamples
    are ours; what it keeps of each text, and the score of their sum, are sacrebleu's.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    scorer: Any = {"chrf": CHRF, "bleu": BLEU}[name]()
    n = len(answers)
    value = _percent(scorer.corpus_score(answers, [references]))
    kept = np.asarray(scorer._extract_corpus_statistics(answers, [references]))
    low, high = _bounds([_percent(scorer._compute_score_from_stats(row)) for row in resampled_sums(kept).tolist()], n)
    signature = scorer.get_signature().format(short=True)
    how = f"0 to 100, sacrebleu {signature}; percentile bootstrap over examples"
    return metric(name, value, n=n, low=low, high=high, method=how)


def _percent(score: Any) -> float:
    """Rounding in sacrebleu's logarithms gives 100.00000000000004."""
    return min(100.0, float(score.score))


class _Words:
    """Words of the normal form, in any script: rouge-score's own tokenizer keeps only a to z."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


def _rouge_l(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """ROUGE-L F1 of (answer, reference) pairs in normal form; two empty texts are equal."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=_Words())
    return [
        scorer.score(meant, said)["rougeL"].fmeasure if said and meant else float(said == meant)
        for said, meant in pairs
    ]
