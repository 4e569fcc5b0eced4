"""Inputs that models are trained on here: random tokens, and the loss that each kind of model has for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from benchgate.core import DataError, Model


@dataclass(frozen=True)
class Batch:
    """`inputs` of the module (int64 tensors) and the tokens that its logits are held against, int64 [batch, length]."""

    inputs: tuple[Any, ...]
    targets: Any
    call: Callable[..., Any]

    def map(self, function: Callable[[Any], Any]) -> Batch:
        return replace(self, inputs=tuple(map(function, self.inputs)), targets=function(self.targets))

    def to(self, device: str) -> Batch:
        return self.map(lambda tensor: tensor.to(device))

    def loss(self, module: Any) -> Any:
        """Mean cross entropy over all target tokens, a scalar tensor with a graph."""
        from torch.nn.functional import cross_entropy

        logits = self.call(module, *self.inputs)
        return cross_entropy(logits.flatten(0, 1), self.targets.flatten())


@runtime_checkable
class EncodesFirst(Protocol):
    """A module with an encoder before its decoder (`benchgate.tasks.text2text.task.Seq2SeqModule`)."""

    def begin(self, source: Any, mask: Any) -> Any: ...


def batch_of(model: Model, module: Any, batch: int, context: int) -> Batch:
    """Random tokens, the same ones every time. Raises DataError for a context longer than the model takes."""
    if isinstance(module, EncodesFirst):
        return _sequence_to_sequence(model, batch, context)
    limit, vocabulary = _limits(module)
    _fits(model, context, limit)
    tokens = _tokens(vocabulary, batch, context + 1)
    return Batch((tokens[:, :-1].contiguous(),), tokens[:, 1:].contiguous(), _decode)


def _sequence_to_sequence(model: Any, batch: int, context: int) -> Batch:
    """`context` source tokens, and as many target tokens."""
    import torch

    _fits(model, context, min(model.max_source, model.max_target))
    source, target = _tokens(model.vocabulary, 2, batch, context)
    start = torch.full((batch, 1), model.start_token)
    given = torch.cat((start, target[:, :-1]), dim=1)
    return Batch((source, torch.ones_like(source), given), target, _translate)


def _decode(module: Any, tokens: Any) -> Any:
    """Logits of one of our decoders, or of a transformers model, whose cache is of no use in training."""
    if hasattr(module, "config"):
        return module(input_ids=tokens, use_cache=False).logits
    return module(tokens)


def _translate(module: Any, source: Any, mask: Any, target: Any) -> Any:
    return module(source, mask, target)


def _limits(module: Any) -> tuple[int, int]:
    """(longest context, vocabulary) of a transformers model, or of a module that tells them itself."""
    if hasattr(module, "config"):
        config = module.config.get_text_config()
        return config.max_position_embeddings, config.vocab_size
    return module.context_limit, module.vocabulary


def _fits(model: Model, context: int, limit: int) -> None:
    if context > limit:
        raise DataError(f"context {context} does not fit into {model.name}'s {limit}; give a shorter one")


def _tokens(vocabulary: int, *shape: int) -> Any:
    import torch

    return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(0))
