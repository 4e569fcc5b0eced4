"""CTranslate2: T5 in a C++ runtime with its own decoding, the reference of what is possible on a CPU.

The files have token ids for token names, so that text goes through the model's own tokenizer on every runtime. int8 is
CTranslate2's "int8_float32": weights int8 per row, activations int8 per token, quantized on the fly, embeddings too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import benchgate.runtimes.ctranslate2.rows  # noqa: F401  its support
from benchgate.core import DataError, InvalidOutput, Scheme, Unavailable, runtimes, support
from benchgate.machine.packages import missing_packages
from benchgate.storage.artifacts import artifact_bytes
from benchgate.tasks.text2text import decoding

# method -> what CTranslate2 calls it, when converting and when computing
QUANTIZATION: Mapping[str, str] = {"float": "float32", "int8-dynamic": "int8_float32"}
BUILD_NEEDS = {"torch": "torch", "transformers": "torch"}


@dataclass(frozen=True)
class CTranslate2Runtime:
    name: str = "ctranslate2"
    format: str = "ctranslate2"
    needs: Mapping[str, str] = field(default_factory=lambda: {"ctranslate2": "ctranslate2"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: BUILD_NEEDS)

    def missing(self, device: str) -> str | None:
        return (
            None if device == "cpu" else f"{self.name}'s wheel from the index is used on the cpu only, not on {device}"
        )

    def build(self, model: Any, scheme: Scheme, out: Path) -> None:
        if reason := missing_packages(BUILD_NEEDS):
            raise Unavailable(reason)
        from ctranslate2.converters.transformers import T5Loader

        t5 = model.build().float().eval().t5
        spec = T5Loader().get_model_spec(t5)
        # The loader takes tied weights for scaled outputs; transformers keeps the two apart since version 5.
        spec.decoder.scale_outputs = t5.config.d_model**-0.5 if t5.config.scale_decoder_outputs else 1.0
        names = [str(token) for token in range(model.vocabulary)]
        spec.register_source_vocabulary(names)
        spec.register_target_vocabulary(names)
        for role, token in _special(model).items():
            setattr(spec.config, role, str(token))
        spec.validate()
        spec.optimize(quantization=QUANTIZATION[scheme.method])
        spec.save(str(out))

    def load(self, path: Path, model: Any, device: str, threads: int) -> CTranslate2Session:
        session: CTranslate2Session = support.imported(support.session_row(model, self).session)(path, model, threads)
        return session


def _special(model: Any) -> dict[str, int]:
    """CTranslate2 wants an unknown token too; no source has one, as sources are token ids."""
    return {
        "bos_token": model.start_token,
        "decoder_start_token": model.start_token,
        "eos_token": model.end_token,
        "unk_token": model.pad_token,
    }


class CTranslate2Session:
    """A `Text2TextSession` with CTranslate2's own search, set to what `tasks.text2text.decoding` describes."""

    def __init__(self, path: Path, model: Any, threads: int) -> None:
        import ctranslate2

        self.limits, self.identity = decoding.FixedLimits.of(model), ""
        try:
            self._translator: Any = ctranslate2.Translator(
                str(path), device="cpu", compute_type="default", inter_threads=1, intra_threads=threads
            )
        except (RuntimeError, ValueError) as error:
            raise DataError(
                f"{path}: CTranslate2 {ctranslate2.__version__} cannot load it ({error}); delete the folder to have it "
                "built again"
            ) from error
        self.kernel: Mapping[str, Any] = {
            "compute_type": self._translator.compute_type,
            "cpu_types": sorted(ctranslate2.get_supported_compute_types("cpu")),
            "threads": threads,
        }
        self.weights_bytes: int | None = artifact_bytes(path)

    def __call__(self, inputs: Sequence[Sequence[int]]) -> list[list[int]]:
        return self.generate(inputs, self.limits.max_target)

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        decoding.check(self.limits, sources, max_new_tokens, beams)
        found = self._translator.translate_batch(
            [[str(token) for token in source] for source in sources],
            beam_size=beams,
            patience=1,
            length_penalty=1,
            max_input_length=0,
            max_decoding_length=max_new_tokens,
            return_scores=True,
        )
        for index, result in enumerate(found):
            if not math.isfinite(result.scores[0]):
                raise InvalidOutput(f"source {index}: CTranslate2 scores its answer {result.scores[0]}")
        return [[int(token) for token in result.hypotheses[0]] for result in found]

    def close(self) -> None:
        self._translator.unload_model()


runtimes.add(CTranslate2Runtime)
