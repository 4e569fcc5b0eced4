"""The support of llama.cpp: causal language models, also as text2text models, and T5.

A session is called `(library, file, threads, model, way)`, where `way` is how to load; an exporter
`(module, name)` gives what is written as GGUF.
"""

from __future__ import annotations

from benchgate.core import Model, Scheme
from benchgate.core.protocols import HasArchitecture
from benchgate.core.support import compressor, session
from benchgate.tasks.text2text.stepped import other_than_t5

DECODER = "decoder"
T5_TYPES = ("F32", "F16", "Q8_0", "Q4_0")


def other_than_known(model: Model, scheme: Scheme, runtime: str) -> str | None:
    """Why the model, or for a T5 the scheme's mixture of types, is not for this runtime, or None."""
    if isinstance(model, HasArchitecture) and model.architecture == DECODER:
        return None
    if reason := other_than_t5(model, scheme, runtime):
        return reason
    if scheme.options.get("type", "F32") not in T5_TYPES:
        return f"{scheme.name} mixes types by the layers of a decoder; {runtime} has T5 as {', '.join(T5_TYPES)}"
    return None


session(
    "ggml",
    "causal-lm",
    "benchgate.runtimes.ggml.causal_lm:load",
    exporter="benchgate.runtimes.ggml.convert:convert",
    by_name=True,
)
session(
    "ggml",
    "text2text",
    "benchgate.runtimes.ggml.text2text:GGMLText2TextSession",
    exporter="benchgate.runtimes.ggml.text2text:convert_pretrained",
    refuses="benchgate.runtimes.ggml.rows:other_than_known",
    by_name=True,
)
compressor("ggml", "float", dtypes=("float32",))
compressor("ggml", "gguf")
