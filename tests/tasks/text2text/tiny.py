"""Tiny random text2text models: T5, an LSTM with attention, a transformer, a language model.

Their answers are long and varied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VOCABULARY = 61


@dataclass(frozen=True)
class Tiny:
    """The parts of a `Text2TextModel` that runtimes use. Letters are tokens from 3 on."""

    name: str
    architecture: str
    gated: bool = False
    tied: bool = True
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

    def structure(self):
        return STRUCTURES[self.architecture](self)

    def build(self):
        """Weights large enough that the answer depends on the whole source and that no two logits are close."""
        import torch

        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            module = self.structure()
            for name, parameter in module.named_parameters():
                if parameter.dim() > 1:
                    scale = EMBEDDING.get(name, 2.0 * parameter.shape[-1] ** -0.5)
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        return module.eval()


# Models with large tied embeddings say their last token for ever.
EMBEDDING = {"t5.shared.weight": 0.5, "embedding.weight": 0.7}


def _t5(model):
    from transformers import T5Config, T5ForConditionalGeneration

    from benchgate.tasks.text2text.t5 import T5Seq2Seq

    config = T5Config(
        vocab_size=VOCABULARY, d_model=64, d_kv=32, d_ff=96, num_layers=2, num_heads=2, dropout_rate=0.0,
        feed_forward_proj="gated-gelu" if model.gated else "relu", tie_word_embeddings=model.tied,
        decoder_start_token_id=0, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return T5Seq2Seq(T5ForConditionalGeneration(config))


def _lstm(model):
    from fixtures.seq2seq.lstm import LSTMConfig, LSTMSeq2Seq

    return LSTMSeq2Seq(LSTMConfig(VOCABULARY, width=32, hidden=64))


def _transformer(model):
    from fixtures.seq2seq.transformer import TransformerConfig, TransformerSeq2Seq

    return TransformerSeq2Seq(TransformerConfig(VOCABULARY, width=32, hidden=64, longest=64))


def _decoder(model):
    from transformers import LlamaConfig, LlamaForCausalLM

    from benchgate.tasks.text2text.decoder_only import DecoderSeq2Seq

    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=False, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return DecoderSeq2Seq(LlamaForCausalLM(config))


STRUCTURES = {"t5": _t5, "lstm": _lstm, "transformer": _transformer, "decoder": _decoder}
MODELS = [
    Tiny("tiny-t5", "t5"),
    # FLAN-T5's form
    Tiny("tiny-gated-t5", "t5", gated=True, tied=False),
    Tiny("tiny-lstm", "lstm"),
    Tiny("tiny-transformer", "transformer"),
    Tiny("tiny-decoder", "decoder"),
]


def sources(*lengths, seed=7):
    generator = np.random.default_rng(seed)
    return [generator.integers(2, VOCABULARY, n).tolist() for n in lengths]
