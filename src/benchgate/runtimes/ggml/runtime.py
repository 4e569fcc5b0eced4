"""llama.cpp through the xllamacpp wheel: the model's own weights as GGUF, quantized by llama.cpp's routines.

Causal language models, and text2text models that are one or a T5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import benchgate.runtimes.ggml.rows  # noqa: F401  its support
from benchgate.core import LOAD_WAYS, Model, Scheme, Session, runtimes, schemes, support

SCHEMES = (
    Scheme("gguf-f16", 16, "gguf", {"file_type": "F16", "type": "F16"}),
    Scheme("gguf-q8_0", 8, "gguf", {"file_type": "Q8_0", "type": "Q8_0"}),
    Scheme("gguf-q6_k", 6, "gguf", {"file_type": "Q6_K", "type": "Q6_K"}),
    Scheme("gguf-q4_k_m", 4, "gguf", {"file_type": "Q4_K_M", "type": "Q4_K"}),
    Scheme("gguf-q4_0", 4, "gguf", {"file_type": "Q4_0", "type": "Q4_0"}),
    Scheme("gguf-q3_k_m", 3, "gguf", {"file_type": "Q3_K_M", "type": "Q3_K"}),
    Scheme("gguf-q2_k", 2, "gguf", {"file_type": "Q2_K", "type": "Q2_K"}),
)
# What fp32 is on this runtime: the reference that quantized cells are held against.
FP32 = Scheme("fp32", 32, "gguf", {"file_type": "F32", "type": "F32"})


@dataclass(frozen=True)
class GGMLRuntime:
    """`build` needs the model's transformers module; a built file needs no torch."""

    name: str = "ggml"
    format: str = "gguf"
    needs: Mapping[str, str] = field(default_factory=lambda: {"xllamacpp": "ggml", "gguf": "ggml", "cffi": "ggml"})
    ways: ClassVar[tuple[str, ...]] = LOAD_WAYS

    def missing(self, device: str) -> str | None:
        from benchgate.runtimes.ggml.library import wrong_version

        if device != "cpu":
            return f"xllamacpp's wheel from the index computes on the cpu only, not on {device}"
        return wrong_version()

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        from benchgate.runtimes.ggml.files import MODEL_FILE, write
        from benchgate.runtimes.ggml.library import library

        known = scheme if scheme.method == FP32.method else FP32
        convert = support.imported(support.session_row(model, self).exporter)
        write(out / MODEL_FILE, convert(model.build(), model.name), known, library(), model.name)

    def load(self, path: Path, model: Model, device: str, threads: int, way: str = "mmap") -> Session:
        from benchgate.runtimes.ggml.files import MODEL_FILE
        from benchgate.runtimes.ggml.library import library

        load = support.imported(support.session_row(model, self).session)
        session: Session = load(library(), path / MODEL_FILE, threads, model, way)
        return session


for _scheme in SCHEMES:
    schemes.add(_scheme)
runtimes.add(GGMLRuntime)
