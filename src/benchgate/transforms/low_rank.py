"""Low-rank factorisation: a linear layer becomes two smaller ones, the best such by singular value decomposition.

The weight [out, in] is replaced by [out, rank] x [rank, in] of the largest singular values, which is the closest matrix
of that rank (Eckart and Young 1936); each factor gets the square root of the singular values. For transformers: Noach
and Goldberg 2020 (https://aclanthology.org/2020.aacl-main.88), with training afterwards, which is not done here.

`low-rank-50` chooses the rank by size: the two factors together have at most 50 % of the layer's weights.
`low-rank-energy-95` chooses it by energy: the least rank that keeps 95 % of the sum of squared singular values. There a
layer whose factors would not be smaller stays as it is.
"""

from __future__ import annotations

from typing import Any

from benchgate.core import BenchgateError, DataError, transforms
from benchgate.transforms.layers import check_percentage, multiplied, replace_layer, some

WHOLE = 100.0


class LowRank:
    """Registered as "low-rank": by size. The ranks follow from the layers' shapes alone."""

    name = "low-rank"
    reshapes, replaces_layers, by_shape = True, True, True

    def check(self, amount: float | None) -> None:
        """Raise BenchgateError for anything but a share in percent between 0 and 100."""
        check_percentage(self.name, amount)

    def apply(self, module: Any, amount: float | None) -> Any:
        """Return the module itself with its linear layers factorised.

        Raises DataError where there is none, and for a share so small that a layer would have rank 0.
        """
        percent = check_percentage(self.name, amount)
        for name, layer in some(self.name, module, multiplied(module, ("Linear",))):
            rank = int(percent / WHOLE * layer.weight.numel() / sum(layer.weight.shape))
            if rank < 1:
                out, inputs = layer.weight.shape
                least = WHOLE * (out + inputs) / (out * inputs)
                raise DataError(
                    f"{self.name}-{percent:g}: {name or type(module).__name__} [{out}, {inputs}] would have rank 0; "
                    + (
                        f"rank 1 takes {least:.3g} % of it: write a larger number"
                        if least < WHOLE
                        else "rank 1 is no smaller than it is: this model cannot be factorised"
                    )
                )
            replace_layer(module, name, factorised(layer, rank))
        return module


class LowRankByEnergy:
    """Registered as "low-rank-energy". The ranks follow from the values of the weights."""

    name = "low-rank-energy"
    reshapes, replaces_layers = True, True

    def check(self, amount: float | None) -> None:
        """Raise BenchgateError for anything but a share in percent between 0 and 100."""
        check_percentage(self.name, amount, example=95)

    def apply(self, module: Any, amount: float | None) -> Any:
        """Return the module itself with those of its linear layers factorised that become smaller by it.

        Raises DataError where none does.
        """
        percent = check_percentage(self.name, amount, example=95)
        smaller = 0
        for name, layer in some(self.name, module, multiplied(module, ("Linear",))):
            rank = rank_for_energy(layer.weight, percent / WHOLE)
            if rank * sum(layer.weight.shape) < layer.weight.numel():
                replace_layer(module, name, factorised(layer, rank))
                smaller += 1
        if not smaller:
            raise DataError(
                f"{self.name}-{percent:g}: no layer of {type(module).__name__} becomes smaller by factors that keep "
                f"{percent:g} % of its energy; write a smaller number, or choose by size: low-rank-50"
            )
        return module


def rank_for_energy(weight: Any, share: float) -> int:
    """Return the least rank, from 1, that keeps this share of the sum of squared singular values."""
    import torch

    energy = torch.linalg.svdvals(weight.detach()).double().square().cumsum(0)
    return int((energy < share * energy[-1]).sum()) + 1


def factorised(layer: Any, rank: int) -> Any:
    """Return the linear layer of this rank that is closest to `layer`, as two layers without the product."""
    import torch

    from benchgate.transforms.factors import Factors

    if not 1 <= rank <= min(layer.weight.shape):
        raise BenchgateError(f"rank {rank}: must be 1 to {min(layer.weight.shape)}, the smaller side of the layer")
    left, values, right = torch.linalg.svd(layer.weight.detach(), full_matrices=False)
    scale = values[:rank].sqrt()
    return Factors(scale[:, None] * right[:rank], left[:, :rank] * scale, layer.bias)


transforms.add(LowRank)
transforms.add(LowRankByEnergy)
