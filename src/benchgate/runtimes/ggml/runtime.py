"""llama.cpp through the xllamacpp wheel: the model's own weights as GGUF, quantized by llama.cpp's routines.

Causal language models, and text2text models of the T5 architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchgate.core import Model, Scheme, Session, runtimes, schemes
from benchgate.tasks.text2text.stepped import no_t5

SCHEMES = (
    Scheme("gguf-f16", 16, "gguf", {"file_type": "F16", "type": "F16"}),
    Scheme("gguf-q8_0", 8, "gguf", {"file_type": "Q8_0", "type": "Q8_0"}),
    Scheme("gguf-q6_k", 6, "gguf", {"file_type": "Q6_K", "type": "Q6_K"}),
    Scheme("gguf-q4_k_m", 4, "gguf", {"file_type": "Q4_K_M", "type": "Q4_K"}),
    Scheme("gguf-q4_0", 4, "gguf", {"file_type": "Q4_0", "type": "Q4_0"}),
    Scheme("gguf-q3_k_m", 3, "gguf", {"file_type": "Q3_K_M", "type": "Q3_K"}),
    Scheme("gguf-q2_k", 2, "gguf", {"file_type": "Q2_K", "type": "Q2_K"}),
)
T5_TYPES = ("F32", "F16", "Q8_0", "Q4_0")
# What fp32 is on this runtime: the reference that quantized cells are held against.
FP32 = Scheme("fp32", 32, "gguf", {"file_type": "F32", "type": "F32"})


@dataclass(frozen=True)
class GGMLRuntime:
    """`build` needs the model's transformers module; a built file needs no torch."""

    name: str = "ggml"
    format: str = "gguf"
    needs: Mapping[str, str] = field(default_factory=lambda: {"xllamacpp": "ggml", "gguf": "ggml", "cffi": "ggml"})

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        if model.task not in SESSIONS:
            return f"{self.name} runs causal language models and T5, {model.name} is for {model.task}"
        if model.task == "text2text" and (reason := no_t5(model, self.name)):
            return reason
        if model.task == "text2text" and scheme.options.get("type", "F32") not in T5_TYPES:
            return f"{scheme.name} mixes types by the layers of a decoder; {self.name} has T5 as {', '.join(T5_TYPES)}"
        if scheme.method != "gguf" and scheme.name != FP32.name:
            return f"{self.name} has no {scheme.method} compression; it has {FP32.name} and the gguf schemes"
        return None

    def missing(self, device: str) -> str | None:
        from benchgate.runtimes.ggml.library import wrong_version

        if device != "cpu":
            return f"xllamacpp's wheel from the index computes on the cpu only, not on {device}"
        return wrong_version()

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        from benchgate.runtimes.ggml.convert import convert
        from benchgate.runtimes.ggml.files import MODEL_FILE, write
        from benchgate.runtimes.ggml.library import library

        known = FP32 if scheme.name == FP32.name else scheme
        module: Any = model.build()
        write(out / MODEL_FILE, convert(getattr(module, "t5", module), model.name), known, library(), model.name)

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        from benchgate.runtimes.ggml.files import MODEL_FILE
        from benchgate.runtimes.ggml.library import library

        return SESSIONS[model.task](library(), path / MODEL_FILE, threads, model)


def _causal_lm(library: Any, path: Path, threads: int, model: Model) -> Session:
    from benchgate.runtimes.ggml.causal_lm import GGMLSession

    return GGMLSession(library, path, threads)


def _text2text(library: Any, path: Path, threads: int, model: Any) -> Any:
    from benchgate.runtimes.ggml.text2text import GGMLText2TextSession

    return GGMLText2TextSession(library, path, threads, model)


# task -> the session that speaks its protocol
SESSIONS: Mapping[str, Callable[..., Session]] = {"causal-lm": _causal_lm, "text2text": _text2text}


for _scheme in SCHEMES:
    schemes.add(_scheme)
runtimes.add(GGMLRuntime)
