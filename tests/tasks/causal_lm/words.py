"""A model of words and a session that answers from what it is given alone."""

from __future__ import annotations

import numpy as np

VOCABULARY = 50


class Words:
    """A model whose tokens are hashes of words; a leading space does not count."""

    name = "words"

    def tokenizer(self):
        return lambda text, add_special_tokens: {
            "input_ids": [sum(word.encode()) % VOCABULARY for word in text.split()]
        }


class Session:
    """Answers from what the sequence holds alone; `fail_at` is the call of `logits` that raises."""

    context_limit, vocabulary, identity = 64, VOCABULARY, "words-fp32"

    def __init__(self, fail_at=None):
        self.fail_at, self.sizes, self.log = fail_at, [], []

    def logits(self, sequences, keep):
        self.sizes.append(len(sequences))
        if len(self.sizes) == self.fail_at:
            raise RuntimeError("out of luck")
        return [self._rows(tokens)[len(tokens) - n :] for tokens, n in zip(sequences, keep, strict=True)]

    def _rows(self, tokens):
        seeds = np.cumsum(tokens)
        return np.stack([np.random.default_rng(s).normal(size=VOCABULARY) for s in seeds]).astype(np.float32)

    def prefill(self, tokens):
        self.log.append(("prefill", tokens.shape))
        return tokens[:, -1] % VOCABULARY

    def step(self, tokens):
        self.log.append(("step", tokens.shape))
        return (tokens + 1) % VOCABULARY

    def rewind(self, length):
        self.log.append(("rewind", length))
