"""Weight clustering: the weights of a layer take only a few values, found by k-means on each layer by itself.

From Han et al. 2016, "Deep Compression" (https://arxiv.org/abs/1510.00149), section 3: centroids begin evenly spaced
between the smallest and the largest weight; here without the training of the centroids that follows there.

The runtimes store and multiply the weights as they are, dense: neither file nor latency changes. What a file of
codebooks and indices would take is given as an estimate, `packed_bytes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchgate.core import BenchgateError, transforms
from benchgate.transforms.layers import multiplied, some

LARGEST = 256
ITERATIONS = 50


class Cluster:
    """Registered as "cluster": `cluster-16` leaves 16 values a layer, indices of 4 bits."""

    name = "cluster"

    def check(self, amount: float | None) -> None:
        """Raise BenchgateError for anything but a whole number of values from 2 to LARGEST."""
        if amount is None or amount != int(amount) or not 2 <= amount <= LARGEST:
            given = self.name if amount is None else f"{self.name}-{amount:g}"
            raise BenchgateError(
                f"{given}: a whole number of values from 2 to {LARGEST} is needed; write for example {self.name}-16"
            )

    def apply(self, module: Any, amount: float | None) -> Any:
        """Return the module itself, each weight replaced by its centroid. Raises DataError for nothing to cluster."""
        import torch

        self.check(amount)
        assert amount is not None
        with torch.no_grad():
            for _, layer in some(self.name, module, multiplied(module)):
                layer.weight.copy_(clustered(layer.weight, int(amount)))
        return module

    def figures(self, module: Any) -> Mapping[str, float]:
        """Return `packed_bytes`: indices and a codebook of float32 a layer, all other weights in float32."""
        import torch

        packed = {id(layer.weight): _packed_bytes(layer.weight) for _, layer in multiplied(module)}
        tensors = {id(tensor): 4 * tensor.numel() for tensor in module.parameters()}
        tensors |= {id(tensor): tensor.nbytes for tensor in module.buffers() if isinstance(tensor, torch.Tensor)}
        return {"packed_bytes": sum((tensors | packed).values())}


def clustered(weight: Any, values: int) -> Any:
    """Return the tensor with each number replaced by the mean of its cluster, by Lloyd's algorithm.

    Numbers on a line: a cluster is a run of the sorted ones, so that its mean is a difference of prefix sums. The
    result is that of scipy's kmeans2, which took 17 times as long for 884,736 weights.
    """
    import torch

    numbers = weight.flatten().double().sort().values
    sums = torch.cat((numbers.new_zeros(1), numbers.cumsum(0)))
    centroids = torch.linspace(float(numbers[0]), float(numbers[-1]), values, dtype=torch.float64)
    for _ in range(ITERATIONS):
        ends = torch.searchsorted(numbers, (centroids[1:] + centroids[:-1]) / 2, right=True)
        ends = torch.cat((ends.new_zeros(1), ends, ends.new_full((1,), len(numbers))))
        counts = ends.diff()
        means = torch.where(counts > 0, sums[ends].diff() / counts.clamp(min=1), centroids)
        if torch.equal(means, centroids):
            break
        centroids = means
    middles = ((centroids[1:] + centroids[:-1]) / 2).to(weight.dtype)
    return centroids.to(weight.dtype)[torch.bucketize(weight, middles)]


def _packed_bytes(weight: Any) -> int:
    """Bytes of an index a weight, as few bits as the values need, and of the codebook."""
    values = len(weight.unique())
    index_bits = math.ceil(math.log2(max(values, 2)))
    return math.ceil(int(weight.numel()) * index_bits / 8) + 4 * values


transforms.add(Cluster)
