"""A small real detector, and how a runtime is tried on it: the same module through every scheme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchgate.core import Scheme, schemes
from benchgate.tasks.detection import Detector, DetectorFile, YoloHead

SIZE = (64, 64)
HEAD = YoloHead(strides=(8, 4), anchors=(((10, 10), (20, 20)), ((5, 5), (8, 8))))
CLASSES = (1, 2, 3)
# Largest difference from float32, as a share of the outputs' largest value.
CLOSE = {"fp32": 1e-4, "fp16": 5e-3, "int8-dynamic": 0.1, "int8-static": 0.2, "int8-weight-only": 0.05}


def build() -> Any:
    """Convolutions with leaky ReLU, one upsampled branch, two heads: seeded weights."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    def block(before: int, after: int) -> Any:
        return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), nn.LeakyReLU(0.1))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine = nn.Sequential(block(3, 16), block(16, 32))
            self.coarse = block(32, 64)
            self.up = nn.Upsample(scale_factor=2, mode="nearest")
            self.heads = nn.ModuleList([nn.Conv2d(64, 16, 1), nn.Conv2d(96, 16, 1)])

        def forward(self, images: Any) -> Any:
            fine = self.fine(images)
            coarse = self.coarse(fine)
            return self.heads[0](coarse), self.heads[1](torch.cat([self.up(coarse), fine], dim=1))

    return Net().eval()


def model(folder: Path, **changes: Any) -> Detector:
    """The detector of `build`, with eight calibration photographs (gradients with noise) in `folder`."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(8):
        ramp = np.linspace(0, 255, 64)[:, None, None] * random.random(3)
        pixels = np.clip(ramp + random.normal(0, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    fields: dict[str, Any] = {"name": "small", "version": "1", "factory": build, "head": HEAD, "size": SIZE}
    fields |= {"classes": CLASSES, "calibration_images": lambda: paths, "sample_images": lambda: paths}
    return Detector(**{**fields, **changes})


def file_model(path: Path) -> DetectorFile:
    """The same detector as a file that is there already."""
    detector = model(path.parent)
    names = ("head", "size", "classes", "calibration_images", "sample_images")
    fields: dict[str, Any] = {name: getattr(detector, name) for name in names}
    return DetectorFile(name="file", version="1", path=path, **fields)


def scheme(name: str) -> Scheme:
    """A scheme of benchgate's own, by name."""
    import benchgate.schemes  # noqa: F401  registers them

    return schemes[name]


def expected(inputs: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """What torch itself answers."""
    import torch

    with torch.inference_mode():
        return [output.numpy() for output in build()(torch.from_numpy(inputs))]


def difference(outputs: dict[str, Any], truth: list[np.ndarray[Any, Any]]) -> float:
    """Largest difference as a share of the largest true value, outputs paired by shape."""
    by_shape = {value.shape: value for value in outputs.values()}
    return max(float(np.abs(by_shape[t.shape] - t).max() / np.abs(t).max()) for t in truth)


def write_graph(path: Path, operator: str, batch: int | str = 1) -> None:
    """An .onnx file with one operator on images; any but Relu is one that only some vendor knows."""
    from onnx import TensorProto, checker, helper, save

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, *SIZE])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, [batch, 3, *SIZE])
    domain = "" if operator == "Relu" else "some.vendor"
    node = helper.make_node(operator, ["image"], ["result"], domain=domain)
    graph = helper.make_graph([node], "g", [image], [result])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("some.vendor", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    checker.check_model(made)
    save(made, path)
