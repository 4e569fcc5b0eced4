"""Size on disk and of the weights in memory, bits per weight, and what a scheme's steps tell of the weights."""

from __future__ import annotations

from typing import ClassVar

from benchgate.core import Metric
from benchgate.core.metrics import metric
from benchgate.measuring.meters.base import Reading, Subject
from benchgate.storage.artifacts import artifact_bytes, figures

# How the figures that steps tell came about. They are of the model in full precision, before the runtime's own method.
TOLD = {
    "sparsity": "zeros / weights of linear and convolution layers; dense kernels gain nothing from them",
    "packed_bytes": "estimated: codebooks and indices of clustered layers, the rest float32; no such file is written",
}


class Size:
    """Bytes of the artifact's files; of the loaded weights and bits for each of them where the runtime tells."""

    name = "size"
    optional = True
    gives: ClassVar[tuple[str, ...]] = ("size_bytes", "size_memory_bytes", "bits_per_weight")

    def measure(self, subject: Subject) -> Reading:
        loaded, runtime = subject.loaded, subject.loaded.of.runtime
        found: dict[str, Metric] = {}
        missing: dict[str, str] = {}
        if runtime.format == "none":
            missing["size_bytes"] = f"{runtime.name} stores no model"
        else:
            size = artifact_bytes(loaded.path)
            found["size_bytes"] = metric("size_bytes", size, method="sum of the artifact's files")
            told = figures(loaded.path) if loaded.of.scheme.steps else {}
            found |= {
                name: metric(name, value, method=TOLD.get(name, "told by a step")) for name, value in told.items()
            }
        if loaded.session.weights_bytes is None:
            missing["size_memory_bytes"] = f"{runtime.name} does not tell what its loaded weights take"
        else:
            found["size_memory_bytes"] = metric(
                "size_memory_bytes", loaded.session.weights_bytes, method="bytes of the loaded weights and buffers"
            )
        bits = loaded.session.kernel.get("bits_per_weight")
        if bits is None:
            missing["bits_per_weight"] = f"{runtime.name} does not tell how many weights it holds"
        else:
            method = "bytes of all weights, scales and zero points x 8 / number of weights"
            found["bits_per_weight"] = metric("bits_per_weight", bits, method=method)
        return Reading(found, missing)
