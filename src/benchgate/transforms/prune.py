"""Magnitude pruning: in each layer the share of weights with the smallest absolute value becomes 0.

From Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks"
(https://arxiv.org/abs/1506.02626), section 3: prune connections whose weight is below a threshold, layer by layer.
Here without the retraining that follows there. The threshold of a layer with n weights at p percent is the k-th
smallest |w|, k = floor(n p / 100), and exactly k weights become 0: of equal ones those that come first.

Weights are those of linear and convolution layers; biases stay. A weight that is an embedding too (tied output layer)
stays as it is: pruning the one would prune the other, and embeddings are looked up, not multiplied.

Nothing becomes smaller or faster by itself: zeros are stored and multiplied like any other number.
"""

from __future__ import annotations

from typing import Any

from benchgate.core import BenchgateError, DataError, transforms

LAYERS = ("Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")


class Prune:
    """Registered as "prune": `prune-50` prunes half of each layer."""

    name = "prune"

    def check(self, amount: float | None) -> None:
        """Raise BenchgateError for anything but a share in percent between 0 and 100."""
        if amount is None or not 0 < amount < 100:
            given = self.name if amount is None else f"{self.name}-{amount:g}"
            raise BenchgateError(f"{given}: a percentage between 0 and 100 is needed; write for example {self.name}-50")

    def apply(self, module: Any, amount: float | None) -> Any:
        """Return the module itself, pruned in place. Raises DataError where there is nothing to prune."""
        import torch

        self.check(amount)
        assert amount is not None
        weights = prunable(module)
        if not weights:
            raise DataError(
                f"{self.name}: {type(module).__name__} has no linear or convolution layer of its own weights"
            )
        with torch.no_grad():
            for weight in weights:
                magnitudes = weight.abs().flatten()
                smallest = magnitudes.argsort(stable=True)[: int(magnitudes.numel() * amount / 100)]
                chosen = torch.zeros_like(magnitudes, dtype=torch.bool).index_fill_(0, smallest, True)
                weight.masked_fill_(chosen.view(weight.shape), 0)
        return module


def prunable(module: Any) -> list[Any]:
    """The weights that are pruned, each once though layers share it."""
    from torch import nn

    kinds = tuple(getattr(nn, name) for name in LAYERS)
    embeddings = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
    found = {id(layer.weight): layer.weight for layer in module.modules() if isinstance(layer, kinds)}
    return [weight for key, weight in found.items() if key not in embeddings]


def sparsity(module: Any) -> float:
    """Share of zeros among the weights that can be pruned, 0 for a module that has none."""
    weights = prunable(module)
    total = sum(weight.numel() for weight in weights)
    return sum(int((weight == 0).sum()) for weight in weights) / total if total else 0.0


transforms.add(Prune)
