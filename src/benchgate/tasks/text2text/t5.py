"""T5 as a `Seq2SeqModule`: the weights of a transformers module, with encoding and decoding as two plain functions.

transformers' own `forward` keeps its cache in an object, which neither traces nor exports; here the cache is a tuple of
tensors. The submodules are called, not copied, so that compressing them (int8 linear layers, ...) takes effect.

Imports torch: import this module only inside a function.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchgate.core import BenchgateError
from benchgate.tasks.text2text.task import State


def padding_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Addend of attention scores: 0 at tokens and the dtype's lowest number at padding, [batch, 1, 1, length].

    Not minus infinity: a row of nothing but padding would become NaN.
    """
    return (1 - mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min


class T5Seq2Seq(nn.Module):  # type: ignore[misc]
    """Wraps a `T5ForConditionalGeneration` (T5, T5 1.1, FLAN-T5), kept as `t5`.

    `memory` is the padding bias and then keys and values of cross-attention a layer, [batch, heads, length, d_kv];
    `cache` is keys and values of self-attention a layer, [batch, heads, past, d_kv], with past 0 at first.
    """

    def __init__(self, t5: Any) -> None:
        super().__init__()
        self.t5 = t5
        self.width = t5.config.d_kv
        self.scale = t5.config.d_model**-0.5 if t5.config.scale_decoder_outputs else 1.0
        # Distances beyond the maximum share the last bucket: a table can replace the formula's many small operators.
        self.furthest = t5.config.relative_attention_max_distance
        for name, stack in (("encoder_buckets", t5.encoder), ("decoder_buckets", t5.decoder)):
            self.register_buffer(name, _buckets(stack, self.furthest), persistent=False)

    @property
    def pretrained(self) -> Any:
        return self.t5

    def for_training(self, checkpointing: bool) -> None:
        """Change nothing. Raises BenchgateError for checkpointing."""
        if checkpointing:
            raise BenchgateError("--checkpointing is for causal language models; leave it out for a T5")

    def begin(self, source: Tensor, mask: Tensor) -> tuple[State, State]:
        encoder = self.t5.encoder
        hidden = encoder.dropout(self.t5.shared(source))
        padding = padding_bias(mask, hidden.dtype)
        places = torch.arange(source.shape[1], device=source.device)
        bias = self._position_bias(encoder, self.encoder_buckets, places, places) + padding
        for block in encoder.block:
            layer = block.layer[0]
            normal = layer.layer_norm(hidden)
            key, value = self._keys_values(layer.SelfAttention, normal)
            hidden = hidden + layer.dropout(self._attend(layer.SelfAttention, normal, key, value, bias))
            hidden = block.layer[1](hidden)
        hidden = encoder.dropout(encoder.final_layer_norm(hidden))
        memory = [padding]
        for block in self.t5.decoder.block:
            memory += self._keys_values(block.layer[1].EncDecAttention, hidden)
        empty = (
            hidden.new_zeros(source.shape[0], self._heads(block), 0, self.width) for block in self.t5.decoder.block
        )
        return tuple(memory), tuple(part for part in empty for _ in range(2))

    def step(self, tokens: Tensor, memory: State, cache: State) -> tuple[Tensor, State]:
        places = torch.arange(cache[0].shape[2] + 1, device=tokens.device)
        bias = self._position_bias(self.t5.decoder, self.decoder_buckets, places[-1:], places)
        logits, cache = self._decode(tokens[:, None], memory, cache, bias)
        return logits[:, 0], cache

    def forward(self, source: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        memory, cache = self.begin(source, mask)
        places = torch.arange(target.shape[1], device=target.device)
        bias = self._position_bias(self.t5.decoder, self.decoder_buckets, places, places)
        future = torch.full_like(bias[0, 0], torch.finfo(bias.dtype).min).triu(1)
        return self._decode(target, memory, cache, bias + future)[0]

    def _decode(self, tokens: Tensor, memory: State, cache: State, bias: Tensor) -> tuple[Tensor, State]:
        """Logits [batch, length, vocabulary] of `tokens` [batch, length] after what is in `cache`."""
        decoder = self.t5.decoder
        hidden = decoder.dropout(self.t5.shared(tokens))
        longer = []
        for index, block in enumerate(decoder.block):
            itself, cross, feed_forward = block.layer
            normal = itself.layer_norm(hidden)
            key, value = self._keys_values(itself.SelfAttention, normal)
            key = torch.cat((cache[2 * index], key), 2)
            value = torch.cat((cache[2 * index + 1], value), 2)
            longer += [key, value]
            hidden = hidden + itself.dropout(self._attend(itself.SelfAttention, normal, key, value, bias))
            known = memory[1 + 2 * index], memory[2 + 2 * index]
            normal = cross.layer_norm(hidden)
            hidden = hidden + cross.dropout(self._attend(cross.EncDecAttention, normal, *known, memory[0]))
            hidden = feed_forward(hidden)
        hidden = decoder.dropout(decoder.final_layer_norm(hidden))
        return self.t5.lm_head(hidden * self.scale), tuple(longer)

    def _keys_values(self, attention: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self._split(attention.k(hidden)), self._split(attention.v(hidden))

    def _split(self, hidden: Tensor) -> Tensor:
        """[batch, length, heads x d_kv] as [batch, heads, length, d_kv]."""
        return hidden.unflatten(2, (-1, self.width)).transpose(1, 2)

    def _heads(self, block: Any) -> int:
        """Heads of a decoder block's self-attention: those that are left, where some were pruned."""
        return int(block.layer[0].SelfAttention.n_heads)

    def _attend(self, attention: Any, hidden: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        # T5 does not scale the scores by the width: its initialization does.
        weights = torch.softmax(self._split(attention.q(hidden)) @ key.transpose(2, 3) + bias, -1)
        weights = nn.functional.dropout(weights, attention.dropout, self.training)
        return attention.o((weights @ value).transpose(1, 2).flatten(2))

    def _position_bias(self, stack: Any, buckets: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
        """[1, heads, queries, keys]; the first layer of a stack has the table, the others use its result."""
        distance = (keys[None, :] - queries[:, None]).clamp(-self.furthest, self.furthest)
        table = stack.block[0].layer[0].SelfAttention.relative_attention_bias
        return table(buckets[distance + self.furthest]).permute(2, 0, 1)[None]


def _buckets(stack: Any, furthest: int) -> Tensor:
    """The bucket of each distance from -furthest to furthest, by transformers' own formula, int64."""
    attention = stack.block[0].layer[0].SelfAttention
    return attention._relative_position_bucket(
        torch.arange(-furthest, furthest + 1, device="cpu"),
        bidirectional=not stack.is_decoder,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )
