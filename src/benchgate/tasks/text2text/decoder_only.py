"""A causal language model as a `Seq2SeqModule`: the prompt is the source, what is written after it the target.

The transformers module is called, not copied, so that compressing it takes effect; its cache goes in and out as plain
tensors, and masks and positions are made here, so that both functions trace.

Imports torch: import this module only inside a function.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from benchgate.tasks.text2text.t5 import padding_bias
from benchgate.tasks.text2text.task import State


class DecoderSeq2Seq(nn.Module):  # type: ignore[misc]
    """Wraps a transformers causal language model, kept as `lm`.

    `memory` is the source's mask alone, int64 [batch, length]: prompts are padded on the right, so that what follows
    one stands after its padding, unseen and uncounted. `cache` is keys and values a layer, [batch, heads, length +
    past, width]: those of the prompt first.
    """

    def __init__(self, lm: Any) -> None:
        super().__init__()
        self.lm = lm

    @property
    def pretrained(self) -> Any:
        return self.lm

    def for_training(self, checkpointing: bool) -> None:
        """Attention as plain products: the fused one's backward was a quarter of a step, on a CPU and short texts."""
        self.lm.set_attn_implementation("eager")
        if checkpointing:
            # transformers 5 calls it activation checkpointing, and the older name goes in 6.
            getattr(self.lm, "activation_checkpointing_enable", self.lm.gradient_checkpointing_enable)()

    def begin(self, source: Tensor, mask: Tensor) -> tuple[State, State]:
        # One row of logits is the least that can be asked for; nobody reads it.
        return (mask,), self.extend(source, mask, ())[1]

    def step(self, tokens: Tensor, memory: State, cache: State) -> tuple[Tensor, State]:
        (mask,) = memory
        after = mask.new_ones(mask.shape[0], cache[0].shape[2] + 1 - mask.shape[1])
        return self.extend(tokens[:, None], torch.cat((mask, after), 1), cache)

    def extend(self, tokens: Tensor, mask: Tensor, cache: State) -> tuple[Tensor, State]:
        kept = DynamicCache(list(zip(cache[::2], cache[1::2], strict=True)) if cache else None)
        length = tokens.shape[1]
        logits = self._run(tokens, self._bias(mask, length), _places(mask)[:, -length:], kept, keep=1)
        return logits[:, 0], tuple(part for layer in kept.layers for part in (layer.keys, layer.values))

    def forward(self, source: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Logits of the target alone; what follows a shorter target's end is for the caller to ignore."""
        seen = torch.cat((mask, torch.ones_like(target)), 1)
        tokens = torch.cat((source, target), 1)
        return self._run(tokens, self._bias(seen, tokens.shape[1]), _places(seen), None, keep=target.shape[1])

    def _run(self, tokens: Tensor, bias: Tensor, places: Tensor, cache: Any, keep: int) -> Tensor:
        found: Tensor = self.lm(
            input_ids=tokens,
            attention_mask=bias,
            position_ids=places,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=keep,
        ).logits
        return found

    def _bias(self, mask: Tensor, length: int) -> Tensor:
        """Addend of attention scores of the last `length` of the mask's places, [batch, 1, length, places]: the lowest
        number at padding and at what comes later. Padding comes after a token that all rows see, so none is lowest
        throughout, which would be the mean of all.
        """
        places = torch.arange(mask.shape[1], device=mask.device)
        later = (places[None, :] > places[-length:, None]).to(self.lm.dtype) * torch.finfo(self.lm.dtype).min
        return torch.minimum(padding_bias(mask, self.lm.dtype), later)


def _places(mask: Tensor) -> Tensor:
    """The place of each token among those that count, [batch, length]; padding has that of the token before it."""
    return (mask.cumsum(1) - 1).clamp(min=0)
