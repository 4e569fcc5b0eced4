"""2:4 pruning: of each four weights in a row of a linear layer the two with the smallest absolute value become 0.

From Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks" (https://arxiv.org/abs/2104.08378), without the
training that follows there. The pattern is what sparse tensor cores (NVIDIA, from Ampere on) multiply at up to twice
the speed; the CPU kernels here multiply the zeros like any other number. Chosen by torch's own WeightNormSparsifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchgate.core import BenchgateError, DataError, transforms
from benchgate.transforms.layers import multiplied, some, weight_zeros

BLOCK, ZEROS = 4, 2


class Prune2To4:
    """Registered as "prune-2-4"."""

    name = "prune-2-4"

    def check(self, amount: float | None) -> None:
        """Raise BenchgateError for any number behind the name: the pattern has none."""
        if amount is not None:
            raise BenchgateError(f"{self.name}-{amount:g}: takes no number; write {self.name}, or for example prune-50")

    def apply(self, module: Any, amount: float | None) -> Any:
        """Return the module itself, pruned in place.

        Raises DataError where there is nothing to prune, or a row is no whole number of blocks.
        """
        from torch.ao.pruning import WeightNormSparsifier

        self.check(amount)
        layers = some(self.name, module, multiplied(module, ("Linear",)))
        for name, layer in layers:
            if layer.in_features % BLOCK:
                raise DataError(
                    f"{self.name}: {name or type(module).__name__} has {layer.in_features} inputs, no multiple of "
                    f"{BLOCK}; prune-50 takes any number"
                )
        sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, BLOCK), zeros_per_block=ZEROS)
        for _, layer in layers:
            # Layer by layer: masks as large as all weights would be in memory at once.
            sparsifier.groups.clear()
            sparsifier.prepare(layer, [{"tensor_fqn": "weight"}])
            sparsifier.step()
            sparsifier.squash_mask()
        return module

    def figures(self, module: Any) -> Mapping[str, float]:
        """Return the share of zeros, as `sparsity`."""
        return weight_zeros(module)


transforms.add(Prune2To4)
