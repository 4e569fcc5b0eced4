"""Weights mapped and read: the same answers, and memory where each must have it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchgate.core import runtimes, schemes
from benchgate.machine.page_cache import mapped_bytes

pytestmark = pytest.mark.backend("torch")
WIDTH = 2048
ROOT = Path(__file__).parents[3]


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

    def structure(self):
        """Without it a module with weights is there for a moment, whose memory the allocator may keep."""
        import torch

        with torch.device("meta"):
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


@dataclass(frozen=True)
class Made(Wide):
    """Its folder is made of weights, where it is not there."""

    place: Path = Path()

    def folder(self):
        import torch

        self.place.mkdir(exist_ok=True)
        if not (self.place / "sum").exists():
            (self.place / "sum").write_text(str(float(torch.nn.Linear(WIDTH, WIDTH).weight.detach().sum())))
        return self.place

    def structure(self):
        self.folder()
        return super().structure()


def test_a_folder_that_is_gone_is_made_with_its_values(tmp_path: Path) -> None:
    runtime, model = runtimes["torch"], Made(place=tmp_path / "folder")
    runtime.build(model, schemes["fp32"], tmp_path)
    runtime.load(tmp_path, model, "cpu", 1).close()
    assert float((tmp_path / "folder" / "sum").read_text())


# In a process of its own: in one that has freed memory before, what is read goes there and nothing is added.
PRIVATE = """
import sys
from pathlib import Path

import numpy as np

from benchgate import registration
from benchgate.core import runtimes
from benchgate.machine.memory_parts import memory_parts
from tests.runtimes.torch.test_loading import WIDTH, Wide

registration.load_builtin()
runtime, inputs = runtimes["torch"], np.ones((2, WIDTH), dtype=np.float32)
# What the libraries allocate at first use is no weight.
runtime.load(Path(sys.argv[1]), Wide(), "cpu", 1, way="mmap")(inputs)
before = memory_parts().private
session = runtime.load(Path(sys.argv[1]), Wide(), "cpu", 1, way=sys.argv[2])
session(inputs)
print(memory_parts().private - before, session.weights_bytes)
"""


def test_reading_takes_the_weights_size_in_private_memory_and_mapping_less_than_15_percent_of_it(
    tmp_path: Path,
) -> None:
    runtimes["torch"].build(Wide(), schemes["fp32"], tmp_path)
    private, size = {}, 0
    for way in ("mmap", "read"):
        command = [sys.executable, "-c", PRIVATE, str(tmp_path), way]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        private[way], size = map(int, said.split())
    assert private["read"] > 0.85 * size
    assert private["mmap"] < 0.15 * size
