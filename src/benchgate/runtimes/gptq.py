"""GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323) at 8, 4, 3 and 2 bits, on the CPU."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from benchgate.core import DataError, Model, Scheme, Session, runtimes, schemes
from benchgate.runtimes.gptq_calibration import BUILTIN, calibration_sha256

BITS = (2, 3, 4, 8)
# Beside the model: how it was made, for whoever finds the folder, and which kernels it is to be loaded with.
SCHEME_FILE = "scheme.json"


def gptq_scheme(
    name: str,
    bits: int,
    group_size: int = 64,
    *,
    desc_act: bool = False,
    sym: bool = True,
    calibration: str = BUILTIN,
    backend: str = "AUTO",
) -> Scheme:
    """A GPTQ scheme; everything that decides the result is its data.

    `desc_act` orders columns by activation ("act-order"), `sym` leaves zero points out. `calibration` is "builtin" or
    a JSONL file of `{"text": ...}`; its hash goes into the scheme. `backend` is a name of gptqmodel.BACKEND.
    Raises DataError for bits that GPTQ's file format has no packing for.
    """
    if bits not in BITS:
        raise DataError(f"scheme {name}: bits={bits}; GPTQ packs {', '.join(map(str, BITS))}")
    options: dict[str, Any] = {"group_size": group_size, "desc_act": desc_act, "sym": sym, "backend": backend}
    options |= {"calibration": calibration, "calibration_sha256": calibration_sha256(calibration)}
    return Scheme(name, bits, "gptq", options)


# Groups of 64: the hidden size of small models is often no multiple of 128. At 2 bits, smaller groups with zero points
# are the least that leaves a model anything.
SCHEMES = (
    gptq_scheme("gptq-8", 8),
    gptq_scheme("gptq-4", 4),
    gptq_scheme("gptq-3", 3),
    gptq_scheme("gptq-2", 2, group_size=32, sym=False),
)


@dataclass(frozen=True)
class GPTQRuntime:
    """Serves causal language models. The artifact is GPTQModel's own folder, which other tools read too."""

    name: str = "gptq"
    format: str = "gptq"
    needs: Mapping[str, str] = field(default_factory=lambda: {"gptqmodel": "gptq", "torch": "gptq"})

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        if model.task != "causal-lm":
            return f"{self.name} quantizes causal language models, {model.name} is for {model.task}"
        return None if scheme.method == "gptq" else f"{self.name} has no {scheme.method} compression"

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"gptq is measured on the cpu only so far, not on {device}"

    def build(self, model: Any, scheme: Scheme, out: Path) -> None:
        from benchgate.runtimes import gptq_model
        from benchgate.runtimes.gptq_calibration import calibration_blocks

        options = scheme.options
        tokenizer = model.tokenizer()
        blocks = calibration_blocks(tokenizer, options["calibration"], options["calibration_sha256"])
        # Inside `out`, so that it goes with it when the build is interrupted.
        source = out / "source"
        gptq_model.write_source(model.build(), tokenizer, source)
        gptq_model.quantize(source, scheme, blocks, out, model.name)
        gptq_model.remove(source)
        (out / SCHEME_FILE).write_text(json.dumps(scheme.as_dict(), indent=1), encoding="utf-8")

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        import torch

        from benchgate.runtimes import gptq_model
        from benchgate.runtimes.gptq_session import GPTQSession

        torch.set_num_threads(threads)
        options = json.loads((path / SCHEME_FILE).read_text(encoding="utf-8"))["options"]
        module = gptq_model.load(path, options["backend"])
        kernel = {"tool": f"gptqmodel {importlib.metadata.version('gptqmodel')}", "threads": threads, **options}
        layers = gptq_model.quantized_layers(module)
        session = GPTQSession(module, layers, lambda: gptq_model.dequantised(path), kernel)
        return cast(Session, session)


for _scheme in SCHEMES:
    schemes.add(_scheme)
runtimes.add(GPTQRuntime)
