"""Tiny random text2text models: T5, and a recurrent one with attention. Their answers are long, varied and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

VOCABULARY = 61
# A T5 with large embeddings says its last token for ever: the output layer has the same weights.
EMBEDDING = {"t5.shared.weight": 0.5, "embedding.weight": 1.4}


@dataclass(frozen=True)
class Tiny:
    """The parts of a `Text2TextModel` that runtimes use. Letters are tokens from 3 on."""

    seed: int = 0
    task: str = "text2text"
    version: str = "1"
    start_token: int = 0
    end_token: int = 1
    pad_token: int = 0
    vocabulary: int = VOCABULARY
    max_source: int = 40
    max_target: int = 24

    def encode(self, context, query):
        return [3 + ord(c) % 50 for c in "".join([*context, query])][-self.max_source :]

    def encode_target(self, text):
        return [*(3 + ord(c) % 50 for c in text), self.end_token]

    def decode(self, tokens):
        return "".join(chr(47 + t) for t in tokens)


@dataclass(frozen=True)
class TinyT5(Tiny):
    name: str = "tiny-t5"
    architecture: ClassVar[str] = "t5"
    gated: bool = False
    tied: bool = True

    def structure(self):
        from transformers import T5Config, T5ForConditionalGeneration

        from benchgate.seq2seq_t5 import T5Seq2Seq

        config = T5Config(
            vocab_size=VOCABULARY, d_model=64, d_kv=32, d_ff=96, num_layers=2, num_heads=2, dropout_rate=0.0,
            feed_forward_proj="gated-gelu" if self.gated else "relu", tie_word_embeddings=self.tied,
            decoder_start_token_id=0, eos_token_id=1, pad_token_id=0,
        )  # fmt: skip
        return T5Seq2Seq(T5ForConditionalGeneration(config))

    def build(self):
        return randomized(self.structure(), self.seed)


@dataclass(frozen=True)
class TinyRecurrent(Tiny):
    name: str = "tiny-recurrent"

    def build(self):
        return randomized(recurrent_module(), self.seed)


def randomized(module, seed):
    """Weights large enough that the answer depends on every token of the source, and that no two logits are close."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() > 1:
                scale = EMBEDDING.get(name, 2.0 * parameter.shape[-1] ** -0.5)
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return module.eval()


def recurrent_module():
    import torch
    from torch import nn

    class Recurrent(nn.Module):
        """memory: encoder outputs [batch, length, 32] and padding bias [batch, length]; cache: state [batch, 32] twice."""

        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 32)
            self.encoder, self.decoder = nn.LSTM(32, 32, batch_first=True), nn.LSTM(32, 32, batch_first=True)
            self.output = nn.Linear(64, VOCABULARY)

        def begin(self, source, mask):
            outputs, _ = self.encoder(self.embedding(source))
            start = (outputs * mask[:, :, None]).sum(1)
            return (outputs, (1 - mask.to(outputs.dtype)) * -1e9), (torch.tanh(start), start)

        def step(self, tokens, memory, cache):
            state = tuple(part[None].contiguous() for part in cache)
            hidden, state = self.decoder(self.embedding(tokens)[:, None], state)
            weights = torch.softmax((hidden @ memory[0].transpose(1, 2))[:, 0] * 4 + memory[1], -1)
            mixed = (weights[:, :, None] * memory[0]).sum(1)
            return 4 * self.output(torch.cat((hidden[:, 0], mixed), 1)), tuple(part[0] for part in state)

    return Recurrent()


def sources(*lengths, seed=7):
    generator = np.random.default_rng(seed)
    return [generator.integers(2, VOCABULARY, n).tolist() for n in lengths]
