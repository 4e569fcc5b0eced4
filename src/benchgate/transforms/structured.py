"""Structured pruning: whole attention heads and MLP channels go, and the tensors become smaller.

In each attention the share of heads, and in each MLP the share of channels, whose weights are smallest: the sum of
squares of all that belongs to one, rows of what goes in and columns of what comes out (the group norm of Fang et al.
2023, "DepGraph", https://arxiv.org/abs/2301.12900). Counts are rounded to the nearest: of 3 heads, 30 % is one. Heads
that share keys and values (grouped-query attention) go together with them. Without the training afterwards that gives
back a part of the accuracy. What is known of architectures is in parts.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchgate.core import BenchgateError, DataError, transforms
from benchgate.transforms.layers import check_percentage
from benchgate.transforms.parts import Part, parts_of, tell


class Structured:
    """Registered as "structured": `structured-30` removes 30 % of the heads and of the MLP channels."""

    name = "structured"
    reshapes, by_shape = True, True

    def check(self, amount: float | None) -> None:
        """Raise BenchgateError for anything but a share in percent between 0 and 100."""
        check_percentage(self.name, amount, example=30)

    def apply(self, module: Any, amount: float | None) -> Any:
        """Return the module itself, smaller.

        Raises DataError for a module without heads and channels, a share that removes none of them, and one that would
        leave an attention without a head or an MLP without a channel.
        """
        percent = check_percentage(self.name, amount, example=30)
        groups = parts_of(module)
        if not groups:
            raise DataError(
                f"{self.name}: {type(module).__name__} has no attention or MLP that is known here (Llama, T5, linear "
                "layers in a torch.nn.Sequential, fixtures/seq2seq/transformer.py); prune-50 prunes any linear layer"
            )
        leaving = [self._leaving(group, percent) for group in groups]
        if not any(leaving):
            raise DataError(
                f"{self.name}-{percent:g}: rounds to no head and no channel anywhere; write a larger number"
            )
        for group, count in zip(groups, leaving, strict=True):
            kept = _largest(group, group[0].units - count)
            for part in group:
                part.keep(kept)
        tell(module)
        return module

    def _leaving(self, group: Sequence[Part], percent: float) -> int:
        """How many units go. Raises BenchgateError where that would be all of them."""
        units = group[0].units
        count = math.floor(units * percent / 100 + 0.5)
        if count >= units:
            most = math.ceil(100 * (units - 0.5) / units) - 1
            allowed = f"at most {self.name}-{most} leaves one" if units > 1 else "it has only one"
            raise BenchgateError(
                f"{self.name}-{percent:g} would leave none of the {units} {group[0].unit} of {group[0].name}: {allowed}"
            )
        return count


def _largest(group: Sequence[Part], count: int) -> Any:
    """The indices of the units that stay, in order, int64 [count]; the parts of a group lose the same ones."""
    import torch

    energy = torch.stack([part.energy() for part in group]).sum(0)
    return energy.topk(count).indices.sort().values


transforms.add(Structured)
