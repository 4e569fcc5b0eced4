"""PyTorch in training, eager and compiled. There is no artifact but the scheme's name: models are built in memory.

A cell with a memory limit or a timeout runs in a process of its own, so that the next one finds the memory as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

import benchgate.runtimes.torch.rows  # noqa: F401  its support
from benchgate.core import BenchgateError, Model, Scheme, Session, runtimes, schemes, support
from benchgate.machine.remote import Remote
from benchgate.runtimes.torch.trainer import Spec, Trainer, matmul_peak
from benchgate.tasks.training_step.task import Flops, Setting, TrainingTask

SCHEME = "scheme.json"
# Weights and optimizer stay float32; autocast chooses which operators compute in bfloat16.
BF16_AUTOCAST = schemes.add(Scheme("bf16-autocast", 16, "autocast", {"dtype": "bfloat16"}))


@dataclass(frozen=True)
class TorchTraining:
    """`compiled` runs the module's forward, and so its backward, through torch.compile (inductor)."""

    name: str
    compiled: bool = False
    format: str = "none"
    task: str = TrainingTask.name
    sessions_of: str = "torch-training"
    compressors_of: str = "torch-training"
    needs: Mapping[str, str] = field(default_factory=lambda: {"torch": "torch"})

    def missing(self, device: str) -> str | None:
        from benchgate.runtimes.torch.runtime import cannot_compile

        return cannot_compile() if self.compiled and device == "cpu" else None

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        (out / SCHEME).write_text(json.dumps(scheme.as_dict()), encoding="utf-8")

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        scheme = Scheme(**json.loads((path / SCHEME).read_text(encoding="utf-8")))
        spec = Spec(model, scheme, device, threads, self.compiled)
        session: Session = support.imported(support.session_row(model, self).session)(spec)
        return session


class TorchTrainingSession:
    """A Trainer, in this process or in one of its own: `begin` decides."""

    weights_bytes: int | None = None

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.identity = ""
        self._trainer: Trainer | Remote | None = None

    def __call__(self, inputs: Any) -> Any:
        raise BenchgateError("a training session has no plain call; name an operation: cell.measure('step')")

    @property
    def kernel(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._ask("describe")
        return found

    def begin(self, setting: Setting) -> None:
        self.close()
        if setting.isolated:
            self._trainer = Remote(Trainer, self.spec, timeout_s=setting.timeout_s)
            limit = setting.memory_limit or available_memory(self.spec.device)
            if limit is not None:
                self._ask("limit_memory", limit)
        else:
            self._trainer = Trainer(self.spec)
        self._ask("begin", setting)

    def run(self, *parts: str) -> None:
        self._ask("run", *parts)

    def loss(self) -> float:
        return float(self._ask("loss"))

    def flops(self) -> Flops:
        found: Flops = self._ask("flops")
        return found

    def matmul_peak(self) -> float:
        """In this process, whichever the model is in: measured once a session, and not below a cell's memory limit."""
        return matmul_peak(self.spec.device, self.spec.scheme.options["dtype"], self.spec.threads)

    def memory_by_part(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._ask("memory_by_part")
        return found

    def close(self) -> None:
        if self._trainer is not None:
            self._trainer.close()
            self._trainer = None

    def _ask(self, method: str, *args: Any) -> Any:
        if self._trainer is None:
            raise BenchgateError("the training session has not begun, or is closed; call begin(Setting(...)) first")
        if isinstance(self._trainer, Remote):
            return self._trainer.call(method, *args)
        return getattr(self._trainer, method)(*args)


def available_memory(device: str) -> int | None:
    """Bytes for a process of its own where nobody said: on the CPU what is free now, so that the end of it is an
    error in that process and not the system's choice of a victim. None where that cannot be set."""
    if device != "cpu" or not psutil.LINUX:
        return None
    free: int = psutil.virtual_memory().available
    return free


runtimes.add(TorchTraining("torch-training"))
runtimes.add(TorchTraining("torch-training-compile", compiled=True))
