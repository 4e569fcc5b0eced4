"""Weights mapped and read: the same answers, and memory where each must have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchgate.core import runtimes, schemes
from benchgate.machine.memory_parts import memory_parts
from benchgate.machine.page_cache import mapped_bytes

pytestmark = pytest.mark.backend("torch")
WIDTH = 2048


@dataclass(frozen=True)
class Wide:
    """One linear layer of 16 MiB."""

    name: str = "wide"
    task: str = "spam"
    version: str = "1"

    def build(self):
        import torch

        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH))


@pytest.mark.parametrize("scheme", ["fp32", "bf16", "int8-weight-only"])
def test_mapped_weights_stay_in_the_file_and_read_ones_do_not(tmp_path: Path, scheme: str) -> None:
    runtime, model = runtimes["torch"], Wide()
    runtime.build(model, schemes[scheme], tmp_path)
    file = tmp_path / "weights.pt"
    size, inputs, answers = file.stat().st_size, np.ones((2, WIDTH), dtype=np.float32), {}
    for way, mapped in (("mmap", True), ("read", False)):
        before = mapped_bytes([file])
        session = runtime.load(tmp_path, model, "cpu", 1, way=way)
        answers[way] = session(inputs)
        assert (mapped_bytes([file]) - before >= size) is mapped
        session.close()
    assert np.array_equal(answers["mmap"], answers["read"])


def test_reading_takes_the_weights_size_in_private_memory_and_mapping_less_than_15_percent_of_it(
    tmp_path: Path,
) -> None:
    runtime, model = runtimes["torch"], Wide()
    runtime.build(model, schemes["fp32"], tmp_path)
    inputs, private = np.ones((2, WIDTH), dtype=np.float32), {}
    # Loaded and called once before: what the libraries allocate at first use is no weight.
    runtime.load(tmp_path, model, "cpu", 1)(inputs)
    for way in ("mmap", "read"):
        # The module that the weights replace is there only for a moment; it may have been kept by the allocator.
        session = runtime.load(tmp_path, model, "cpu", 1, way=way)
        session(inputs)
        private[way] = memory_parts().private
        size = session.weights_bytes
        session.close()
    assert private["read"] - private["mmap"] > 0.85 * size
