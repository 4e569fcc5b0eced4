"""Size on disk and of the weights in memory, and bits per weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from benchgate.core import Metric
from benchgate.core.metrics import metric
from benchgate.storage.artifacts import artifact_bytes

if TYPE_CHECKING:
    from benchgate.measuring.run import Run


class Size:
    """Bytes of the artifact's files; of the loaded weights and bits for each of them where the runtime tells."""

    name = "size"
    optional = True
    gives: ClassVar[tuple[str, ...]] = ("size_bytes", "size_memory_bytes", "bits_per_weight")

    def measure(self, run: Run) -> Mapping[str, Metric]:
        found = {}
        if run.runtime.format == "none":
            run.missing["size_bytes"] = f"{run.runtime.name} stores no model"
        else:
            size = artifact_bytes(run.path)
            found["size_bytes"] = metric("size_bytes", size, method="sum of the artifact's files")
        if run.session.weights_bytes is None:
            run.missing["size_memory_bytes"] = f"{run.runtime.name} does not tell what its loaded weights take"
        else:
            found["size_memory_bytes"] = metric(
                "size_memory_bytes", run.session.weights_bytes, method="bytes of the loaded weights and buffers"
            )
        bits = run.session.kernel.get("bits_per_weight")
        if bits is None:
            run.missing["bits_per_weight"] = f"{run.runtime.name} does not tell how many weights it holds"
        else:
            method = "bytes of all weights, scales and zero points x 8 / number of weights"
            found["bits_per_weight"] = metric("bits_per_weight", bits, method=method)
        return found
