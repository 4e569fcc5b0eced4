"""LiteRT (formerly TensorFlow Lite): torch modules, .onnx or .tflite files, run by ai-edge-litert; see `convert`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import benchgate.runtimes.litert.rows  # noqa: F401  its support
from benchgate.core import LOAD_WAYS, Model, Scheme, Session, runtimes, support
from benchgate.runtimes.litert import from_onnx
from benchgate.runtimes.litert.convert import CONVERTER, QUANTIZER
from benchgate.runtimes.litert.session import Opened


@dataclass(frozen=True)
class LiteRT:
    """`xnnpack=False` runs LiteRT's own kernels; a runtime with it needs another name, and has the same rows."""

    name: str = "litert"
    xnnpack: bool = True
    sessions_of: str = "litert"
    compressors_of: str = "litert"
    format: str = "tflite"
    needs: Mapping[str, str] = field(default_factory=lambda: {"ai_edge_litert": "litert"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: {**CONVERTER, **from_onnx.CONVERTER, **QUANTIZER})
    ways: ClassVar[tuple[str, ...]] = LOAD_WAYS

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"{self.name} runs on cpu, not {device}"

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        support.imported(support.session_row(model, self).exporter)(model, scheme, out, self)

    def load(self, path: Path, model: Model, device: str, threads: int, way: str = "mmap") -> Session:
        opened = Opened(path, self.xnnpack, threads, mapped=way == "mmap")
        session: Session = support.imported(support.session_row(model, self).session)(opened, model)
        return session


runtimes.add(LiteRT)
