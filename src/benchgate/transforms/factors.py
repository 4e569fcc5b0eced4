"""A linear layer as the product of two smaller ones. Imports torch: import it only inside a function."""

from __future__ import annotations

from torch import Tensor, nn


class Factors(nn.Sequential):  # type: ignore[misc]  # torch is not type-checked
    """A layer with weight `left @ right`, [out, rank] x [rank, in], and the bias of the layer it replaces, or none."""

    def __init__(self, right: Tensor, left: Tensor, bias: nn.Parameter | None) -> None:
        rank, inputs = right.shape
        super().__init__(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, len(left), bias=bias is not None))
        self[0].weight = nn.Parameter(right.contiguous())
        self[1].weight = nn.Parameter(left.contiguous())
        if bias is not None:
            self[1].bias = bias

    @property
    def weight(self) -> Tensor:
        """The factor on the output's side: modules ask a layer's weight for the type to compute in."""
        return self[1].weight
