"""Small trainable models and their data: the town that follows the last one of the query, whatever was said before."""

from __future__ import annotations

import hashlib
import itertools

from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites
from benchgate.trainer.models import TrainedModel
from benchgate.trainer.recipe import Recipe

WORDS = ["paris", "rome", "oslo", "bern", "kiel", "lima"]
FOLLOWING = dict(zip(WORDS, WORDS[1:] + WORDS[:1], strict=True))


def examples(split: str) -> Rewrites:
    pairs = list(itertools.permutations(WORDS, 2))
    chosen = pairs[::5] if split == "dev" else pairs
    items = tuple(
        Rewrite((f"about {a}",) * (i % 3), f"{a} {b}", FOLLOWING[b])
        for i, (a, b) in enumerate(chosen)
        for _ in range(4)
    )
    return Rewrites(split, hashlib.sha256(repr(items).encode()).hexdigest(), items, len(items))


def dropping_t5(vocabulary: int, width: int):
    """With dropout, so that a run that goes on needs the state of the random numbers too."""
    from transformers import T5Config, T5ForConditionalGeneration

    from benchgate.tasks.text2text.t5 import T5Seq2Seq

    config = T5Config(
        vocab_size=vocabulary, d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    return T5Seq2Seq(T5ForConditionalGeneration(config))


def lstm(vocabulary: int, width: int):
    from fixtures.seq2seq.lstm import LSTMConfig, LSTMSeq2Seq

    return LSTMSeq2Seq(LSTMConfig(vocabulary, width, 2 * width))


def transformer(vocabulary: int, width: int):
    from fixtures.seq2seq.transformer import TransformerConfig, TransformerSeq2Seq

    return TransformerSeq2Seq(TransformerConfig(vocabulary, width, heads=2, hidden=2 * width, longest=32))


RECIPE = Recipe(
    steps=130, learning_rate=5e-3, batch=8, warmup_steps=5, vocabulary=150, evaluate_every=50, patience=9, dev_samples=8
)
T5 = TrainedModel("tiny-t5", "t5", dropping_t5, {"width": 16}, RECIPE, examples, max_source=32, max_target=16)
LSTM = TrainedModel("tiny-lstm", "lstm", lstm, {"width": 16}, RECIPE, examples, max_source=32, max_target=16)
TRANSFORMER = TrainedModel(
    "tiny-transformer", "transformer", transformer, {"width": 16}, RECIPE, examples, max_source=32, max_target=16
)


def partials(cache):
    """The checkpoints that are whole."""
    return list((cache / "partial").glob("*.safetensors"))
