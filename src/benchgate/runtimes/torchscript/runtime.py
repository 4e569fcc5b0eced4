"""TorchScript: `begin` and `step` of a text2text module, traced, frozen and saved as one program.

int8-dynamic is `torch.ao.quantization.quantize_dynamic`: weights of linear and LSTM layers int8 per tensor, activations
quantized on the fly. A TorchScript file is a program: it is read only where its hash is the one that was written with
it, and only from the artifact cache. No pickled Python object is run.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import benchgate.runtimes.torchscript.rows  # noqa: F401  its support
from benchgate.core import DataError, Model, Scheme, Session, runtimes, support
from benchgate.runtimes.torch.text2text import TorchStepper
from benchgate.tasks.text2text.task import Text2TextModel
from benchgate.tasks.text2text.traced import Example, example

PROGRAM, HASH = "program.pt", "program.sha256"
# How far a trace's logits may be from the module's at other sizes than it was traced with: rounding only.
TOLERANCE = 1e-3


def to_float32(module: Any, scheme: Scheme) -> Any:
    return module.float()


def int8_dynamic(module: Any, scheme: Scheme) -> Any:
    import torch

    kinds = {torch.nn.Linear, torch.nn.LSTM}
    return torch.ao.quantization.quantize_dynamic(module, kinds, dtype=torch.qint8)


WEIGHTED = ("aten::linear", "aten::lstm", "quantized::linear_dynamic", "aten::quantized_lstm")


@dataclass(frozen=True)
class TorchScriptRuntime:
    name: str = "torchscript"
    format: str = "torchscript"
    needs: Mapping[str, str] = field(default_factory=lambda: {"torch": "torch"})

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"{self.name} programs are traced and quantized for the cpu, not {device}"

    def build(self, model: Any, scheme: Scheme, out: Path) -> None:
        compress = support.imported(support.compressor_row(model, scheme, self).target)
        with _deprecated():
            program = trace(compress(model.build().eval(), scheme), model)
            program.save(str(out / PROGRAM))
        (out / HASH).write_text(_sha256(out / PROGRAM), encoding="ascii")

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        import torch

        torch.set_num_threads(threads)
        load = support.imported(support.session_row(model, self).session)
        session: Session = load(ScriptStepper(_read(path, device), device, threads, path), model)
        return session


class ScriptStepper(TorchStepper):
    """Weights of a frozen program are constants: their bytes are the file's, operators are counted in its graph."""

    def __init__(self, module: Any, device: str, threads: int, path: Path) -> None:
        super().__init__(module, device)
        self.weights_bytes: int | None = (path / PROGRAM).stat().st_size
        self.kernel: Mapping[str, Any] = {"threads": threads, "operators": _operators(module)}


def trace(module: Any, model: Text2TextModel) -> Any:
    """The traced and frozen module with `begin` and `step`.

    Raises DataError for a module whose traced functions answer otherwise at other sizes: a length or a branch of the
    example would have become part of the program.
    """
    import torch

    module = module.requires_grad_(False)
    first = example(module, 2, 5, 2, model.vocabulary)
    with torch.inference_mode():
        traced = torch.jit.trace_module(
            module, {"begin": first.begin, "step": first.step}, check_trace=False, strict=False
        )
        program = torch.jit.freeze(traced.eval(), preserved_attrs=["begin", "step"])
        for sizes in ((3, 9, 4), (1, 1, 0)):
            _compare(module, program, example(module, *sizes, model.vocabulary), model.name)
    return program


def _compare(module: Any, program: Any, given: Example, name: str) -> None:
    expected, _ = module.step(*given.step)
    if not expected.isfinite().all():
        raise DataError(f"{name}: its logits are NaN or infinite; are its weights whole?")
    memory, _ = program.begin(*given.begin)
    found, _ = program.step(given.tokens, memory, given.cache)
    if expected.shape != found.shape or not (expected - found).abs().max() <= TOLERANCE * expected.abs().max():
        raise DataError(
            f"{name}: its traced functions answer otherwise for a batch of {len(given.tokens)}; begin and step must "
            "take sizes from tensors, not from Python numbers"
        )


def _read(path: Path, device: str) -> Any:
    import torch

    program, known = path / PROGRAM, path / HASH
    if not program.is_file() or not known.is_file() or _sha256(program) != known.read_text(encoding="ascii").strip():
        raise DataError(f"{program}: not what was written there; delete its folder to have it built again")
    with _deprecated():
        return torch.jit.load(str(program), map_location=device)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _operators(module: Any) -> dict[str, int]:
    """Counts of the operators that hold weights, in both functions: shows an int8 that silently stayed float."""
    graphs = [module.begin.graph, module.step.graph]
    counts = {kind: sum(len(graph.findAllNodes(kind)) for graph in graphs) for kind in WEIGHTED}
    return {kind: count for kind, count in counts.items() if count}


@contextmanager
def _deprecated() -> Iterator[None]:
    """TorchScript and eager-mode quantization are deprecated in torch 2.13 and work; say so once, here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


runtimes.add(TorchScriptRuntime)
