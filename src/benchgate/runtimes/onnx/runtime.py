"""ONNX Runtime: torch modules exported to ONNX, or .onnx files.

What is exported for a task, how it is compressed and run is said in rows.py; `graph` is one graph run in one call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import benchgate.runtimes.onnx.rows  # noqa: F401  its support
from benchgate.core import LOAD_WAYS, Model, Scheme, Session, runtimes, support
from benchgate.runtimes.onnx.causal_lm import NEEDS
from benchgate.runtimes.onnx.graph import BUILD_NEEDS
from benchgate.runtimes.onnx.session import Opened

LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True)
class OnnxRuntime:
    """`optimization` is the graph optimisation level at load; another one is another runtime with another name, and has
    the same rows of support."""

    name: str = "onnxruntime"
    optimization: Literal["disabled", "basic", "extended", "all"] = "all"
    sessions_of: str = "onnxruntime"
    compressors_of: str = "onnxruntime"
    format: str = "onnx"
    needs: Mapping[str, str] = field(default_factory=lambda: {"onnxruntime": "onnx"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: {**BUILD_NEEDS, **NEEDS})
    ways: ClassVar[tuple[str, ...]] = tuple(reversed(LOAD_WAYS))

    def missing(self, device: str) -> str | None:
        if device not in PROVIDERS:
            return f"{self.name} runs on {', '.join(PROVIDERS)}, not {device}"
        import onnxruntime

        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            return f"this onnxruntime has no {PROVIDERS[device]}; pip install onnxruntime-gpu"
        return None

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        support.imported(support.session_row(model, self).exporter)(model, scheme, out, self)

    def load(self, path: Path, model: Model, device: str, threads: int, way: str = "read") -> Session:
        opened = Opened(path, LEVELS[self.optimization], PROVIDERS[device], threads, device, way == "mmap")
        session: Session = support.imported(support.session_row(model, self).session)(opened, model)
        return session


runtimes.add(OnnxRuntime)
