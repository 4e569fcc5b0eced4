"""Magnitude pruning: in each layer the share of weights with the smallest absolute value becomes 0.

From Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks"
(https://arxiv.org/abs/1506.02626), section 3: prune connections whose weight is below a threshold, layer by layer.
Here without the retraining that follows there. The threshold of a layer with n weights at p percent is the k-th
smallest |w|, k = floor(n p / 100), and exactly k weights become 0: of equal ones those that come first.

Weights are those of linear and convolution layers; biases stay. A weight that is an embedding too (tied output layer)
stays as it is.

Nothing becomes smaller or faster by itself: zeros are stored and multiplied like any other number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchgate.core import transforms
from benchgate.transforms.layers import check_percentage, multiplied, some, weight_zeros


class Prune:
    """Registered as "prune": `prune-50` prunes half of each layer."""

    name = "prune"

    def check(self, amount: float | None) -> None:
        """Raise BenchgateError for anything but a share in percent between 0 and 100."""
        check_percentage(self.name, amount)

    def apply(self, module: Any, amount: float | None) -> Any:
        """Return the module itself, pruned in place. Raises DataError where there is nothing to prune."""
        import torch

        percent = check_percentage(self.name, amount)
        with torch.no_grad():
            for _, layer in some(self.name, module, multiplied(module)):
                magnitudes = layer.weight.abs().flatten()
                smallest = magnitudes.argsort(stable=True)[: int(magnitudes.numel() * percent / 100)]
                chosen = torch.zeros_like(magnitudes, dtype=torch.bool).index_fill_(0, smallest, True)
                layer.weight.masked_fill_(chosen.view(layer.weight.shape), 0)
        return module

    def figures(self, module: Any) -> Mapping[str, float]:
        """Return the share of zeros, as `sparsity`."""
        return weight_zeros(module)


transforms.add(Prune)
