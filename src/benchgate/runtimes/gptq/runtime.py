"""GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323) at 8, 4, 3 and 2 bits, on the CPU."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import benchgate.runtimes.gptq.rows  # noqa: F401  its support
from benchgate.core import DataError, Model, Scheme, Session, runtimes, schemes, support
from benchgate.machine.packages import missing_packages, versions
from benchgate.runtimes.gptq.calibration import BUILTIN, calibration_sha256

BITS = (2, 3, 4, 8)
# What quantizes and runs, by import name: the extra that installs it and our module that drives it. The first that is
# installed is used; they cannot share an environment.
LIBRARIES = {
    "gptqmodel": ("gptq", "benchgate.runtimes.gptq.gptqmodel"),
    "auto_gptq": ("autogptq", "benchgate.runtimes.gptq.auto"),
}
# Beside the model: how it was made, for whoever finds the folder, and which kernels it is to be loaded with.
SCHEME_FILE = "scheme.json"


def gptq_scheme(
    name: str,
    bits: int,
    group_size: int = 64,
    *,
    desc_act: bool = False,
    sym: bool = True,
    damp_percent: float = 0.05,
    calibration: str = BUILTIN,
    backend: str = "AUTO",
) -> Scheme:
    """A GPTQ scheme; everything that decides the result is its data.

    `desc_act` orders columns by activation ("act-order"), `sym` leaves zero points out, `damp_percent` is the share of
    the mean of the Hessian's diagonal that is added to it. `calibration` is "builtin" or
    a JSONL file of `{"text": ...}`; its hash goes into the scheme. `backend` is a name of gptqmodel.BACKEND.
    Raises DataError for bits that GPTQ's file format has no packing for.
    """
    if bits not in BITS:
        raise DataError(f"scheme {name}: bits={bits}; GPTQ packs {', '.join(map(str, BITS))}")
    options = {
        "group_size": group_size,
        "desc_act": desc_act,
        "sym": sym,
        "damp_percent": damp_percent,
        "backend": backend,
        "calibration": calibration,
        "calibration_sha256": calibration_sha256(calibration),
    }
    return Scheme(name, bits, "gptq", options)


# Groups of 64: the hidden size of small models is often no multiple of 128. From 4 bits down, smaller groups with zero
# points keep more of a small model for half a bit a weight.
SCHEMES = (
    gptq_scheme("gptq-8", 8),
    gptq_scheme("gptq-4", 4, group_size=32, sym=False),
    gptq_scheme("gptq-3", 3, group_size=32, sym=False),
    gptq_scheme("gptq-2", 2, group_size=32, sym=False),
)


def installed() -> str:
    """Import name of the library that is used here: the first that is installed, GPTQModel where none is."""
    return next((name for name in LIBRARIES if missing_packages({name: ""}) is None), "gptqmodel")


@dataclass(frozen=True)
class GPTQRuntime:
    """Serves causal language models. The artifact is the library's own folder, which other tools read too."""

    name: str = "gptq"
    format: str = "gptq"
    library: str = field(default_factory=lambda: installed())

    @property
    def needs(self) -> Mapping[str, str]:
        extra, _ = LIBRARIES[self.library]
        return {self.library: extra, "torch": extra}

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"gptq is measured on the cpu only so far, not on {device}"

    def build(self, model: Any, scheme: Scheme, out: Path) -> None:
        from benchgate.runtimes.gptq.calibration import calibration_blocks
        from benchgate.runtimes.gptq.files import write_source

        options = scheme.options
        tokenizer = model.tokenizer()
        blocks = calibration_blocks(tokenizer, options["calibration"], options["calibration_sha256"])
        # Inside `out`, so that it goes with it when the build is interrupted.
        source = out / "source"
        write_source(model.build(), tokenizer, source)
        self._driver().quantize(source, scheme, blocks, out, model.name)
        shutil.rmtree(source)
        (out / SCHEME_FILE).write_text(json.dumps(scheme.as_dict(), indent=1), encoding="utf-8")

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        import torch

        torch.set_num_threads(threads)
        options = json.loads((path / SCHEME_FILE).read_text(encoding="utf-8"))["options"]
        driver = self._driver()
        module = driver.load(path, options["backend"])
        (version,) = versions([self.library]).values()
        kernel = {"tool": f"{self.library} {version}", "threads": threads, **options}
        layers = driver.quantized_layers(module)
        session = support.imported(support.session_row(model, self).session)
        return cast(Session, session(module, layers, lambda: driver.dequantised(path), kernel))

    def _driver(self) -> Any:
        return importlib.import_module(LIBRARIES[self.library][1])


for _scheme in SCHEMES:
    schemes.add(_scheme)
runtimes.add(GPTQRuntime)
