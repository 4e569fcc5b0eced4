"""Distillation: a model (the student) learns from another that is trained already (the teacher).

Two ways, by the names of `--distill`:

- *soft*: at each target token the student comes near the teacher's probabilities, not the one right piece alone. Hinton
  et al. 2015, "Distilling the Knowledge in a Neural Network" (https://arxiv.org/abs/1503.02531), section 2.
- *sequence*: the teacher's own answers are what the student is trained on. Kim and Rush 2016, "Sequence-Level Knowledge
  Distillation" (https://arxiv.org/abs/1606.07947), section 3.2. There they come from a beam search of 5, here from the
  greedy one that all models are measured with.

Torch is imported only inside functions.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from benchgate.core import BenchgateError
from benchgate.storage.artifacts import build_or_reuse
from benchgate.storage.reading import parse_object, read_bytes
from benchgate.tasks.text2text.codec import unigram_codec
from benchgate.tasks.text2text.decoding import FixedLimits, generate
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.trainer.data import IGNORED, Batch, Loss, Pair
from benchgate.trainer.kept import TOKENIZER, WEIGHTS, read_report
from benchgate.trainer.models import TrainedModel

ANSWERS, ANSWERS_LAYOUT, ANSWER_BATCH = "answers.json", 1, 200


@dataclass(frozen=True)
class Lesson:
    """Parts of a run that a teacher may change: the student with its tokenizer as JSON text, the examples, the pairs
    that they became, and the device."""

    student: TrainedModel
    tokenizer: str
    examples: Rewrites
    pairs: Sequence[Pair]
    device: str


class Teaching(Protocol):
    """A teacher and the way in which it teaches."""

    @property
    def teacher(self) -> TrainedModel: ...

    def settings(self) -> Mapping[str, Any]:
        """Return the way and its numbers, JSON-ready."""

    def pairs(self, lesson: Lesson) -> Sequence[Pair]:
        """Return what the student is trained on. Raises BenchgateError where this teacher cannot teach it."""

    def loss(self, device: str) -> Loss | None:
        """Return the loss of a batch, in place of the cross-entropy; None leaves it."""


@dataclass(frozen=True)
class SoftTargets:
    """Of the loss `weight` is the distance to the teacher at `temperature`, the rest cross-entropy with the data."""

    teacher: TrainedModel
    temperature: float = 2.0
    weight: float = 0.9

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise BenchgateError(f"--temperature {self.temperature:g} must be above 0, as 2")
        if not 0 < self.weight <= 1:
            raise BenchgateError(f"--soft-weight {self.weight:g} must be above 0 and at most 1, as 0.9")

    def settings(self) -> Mapping[str, Any]:
        return {"way": "soft", "temperature": self.temperature, "weight": self.weight}

    def pairs(self, lesson: Lesson) -> Sequence[Pair]:
        """Return the pairs as they are. Raises BenchgateError for a teacher of other pieces or shorter texts."""
        teacher, student = self.teacher, lesson.student
        again = f"benchgate train {teacher.name}"
        if read_bytes(teacher.folder() / TOKENIZER, again).decode() != lesson.tokenizer:
            raise BenchgateError(
                f"{teacher.name} has another vocabulary ({teacher.vocabulary} pieces) than {student.name}, and soft "
                "targets need the same; --distill sequence teaches by texts"
            )
        if teacher.max_source < student.max_source or teacher.max_target < student.max_target:
            raise BenchgateError(
                f"{teacher.name} reads {teacher.max_source} and writes {teacher.max_target} tokens, {student.name} "
                f"{student.max_source} and {student.max_target}; --distill sequence teaches by texts"
            )
        return lesson.pairs

    def loss(self, device: str) -> Loss:
        return functools.partial(_taught_loss, self.teacher.build().to(device).eval(), self.temperature, self.weight)


@dataclass(frozen=True)
class OwnAnswers:
    """The teacher's answers to the training queries in place of the right ones."""

    teacher: TrainedModel

    def settings(self) -> Mapping[str, Any]:
        return {"way": "sequence", "temperature": None, "weight": None}

    def pairs(self, lesson: Lesson) -> Sequence[Pair]:
        """Return the pairs with the teacher's answers as targets, in the student's own pieces."""
        from tokenizers import Tokenizer

        codec, longest = unigram_codec(Tokenizer.from_str(lesson.tokenizer)), lesson.student.max_target
        texts = answers(self.teacher, lesson.examples, lesson.device)
        return [
            replace(pair, target=tuple(codec.target(text, longest)))
            for pair, text in zip(lesson.pairs, texts, strict=True)
        ]

    def loss(self, device: str) -> None:
        return None


WAYS: Mapping[str, Callable[..., Teaching]] = {"soft": SoftTargets, "sequence": OwnAnswers}


def record(teaching: Teaching) -> dict[str, Any]:
    """The teacher with the hash of its weights, and how it taught: part of the student's version and report.

    Raises Unavailable for a teacher that is not trained.
    """
    teacher = teaching.teacher
    hashes = teacher.content()
    return {
        "teacher": teacher.name,
        "version": teacher.version,
        "sha256": hashes[WEIGHTS],
        "tokenizer_sha256": hashes[TOKENIZER],
        **teaching.settings(),
    }


def check(teaching: Teaching, student: TrainedModel, data: Mapping[str, str]) -> None:
    """Raise BenchgateError for a teacher that is the student itself, or that may know what the student is tried on.

    Unavailable for one that is not trained. `data` are the hashes of the student's splits.
    """
    teacher = teaching.teacher
    if teacher.name == student.name:
        raise BenchgateError(f"{teacher.name} cannot be its own teacher: training would replace it; name another model")
    if read_report(teacher.folder())["data"] != dict(data):
        raise BenchgateError(
            f"{teacher.name} was trained on other data than {student.name}; benchgate train {teacher.name}"
        )


def answers(teacher: TrainedModel, examples: Rewrites, device: str) -> list[str]:
    """The teacher's greedy answers as texts, one an example; from the cache where they are."""
    key = {
        "layout": ANSWERS_LAYOUT,
        "teacher": dict(teacher.content()),
        "lengths": [teacher.max_source, teacher.max_target],
        "data": examples.sha256,
        "examples": len(examples),
    }

    def write(folder: Path) -> None:
        texts = _answered(teacher, examples, device)
        (folder / ANSWERS).write_text(json.dumps({"answers": texts}), encoding="utf-8")

    path = build_or_reuse(f"{teacher.name}-answers".replace("/", "--"), key, write) / ANSWERS
    again = f"delete {path.parent}"
    return list(parse_object(read_bytes(path, again), str(path), again)["answers"])


def _answered(teacher: TrainedModel, examples: Rewrites, device: str) -> list[str]:
    """In batches of similar length, in the order of the examples."""
    from benchgate.runtimes.torch.text2text import TorchStepper

    stepper, limits = TorchStepper(teacher.build().to(device), device), FixedLimits.of(teacher)
    sources = [teacher.encode(example.context, example.query) for example in examples]
    order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
    texts = [""] * len(sources)
    for start in range(0, len(order), ANSWER_BATCH):
        chosen = order[start : start + ANSWER_BATCH]
        found = generate(stepper, limits, [sources[index] for index in chosen], limits.max_target)
        for index, tokens in zip(chosen, found, strict=True):
            texts[index] = teacher.decode(tokens)
    return texts


def _taught_loss(teacher: Any, temperature: float, weight: float, student: Any, batch: Batch, device: str) -> Any:
    """The loss of a batch with soft targets, nats a target token."""
    import torch

    from benchgate.trainer.loop import arrays

    source, mask, target, labels = arrays(batch, device)
    with torch.no_grad():
        taught = teacher(source, mask, target)
    return soft_target_loss(student(source, mask, target), taught, labels, temperature, weight)


def soft_target_loss(logits: Any, taught: Any, labels: Any, temperature: float, weight: float) -> Any:
    """weight T^2 KL(softmax(taught / T) || softmax(logits / T)) + (1 - weight) cross-entropy, nats a target token.

    Logits are [batch, length, vocabulary], labels [batch, length]; both means are over the labels that are not IGNORED.
    T^2 keeps the size of the gradients when T changes (Hinton et al. 2015, section 2.1).
    """
    from torch.nn import functional

    used = labels != IGNORED
    ours, theirs = (functional.log_softmax(part[used] / temperature, -1) for part in (logits, taught))
    distance = functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    hard = functional.cross_entropy(logits[used], labels[used])
    return weight * temperature**2 * distance + (1 - weight) * hard
