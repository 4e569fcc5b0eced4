"""Find everything there is to measure: the built-in modules, installed entry points, and a project's own fixtures."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from benchgate.core import BenchgateError, Model, models
from benchgate.storage.project import find_root, told_with_place
from benchgate.tasks.causal_lm.models import from_name
from benchgate.tasks.text2text import models as text2text_models

BUILTIN = (
    "benchgate.schemes",
    "benchgate.transforms.prune",
    "benchgate.transforms.prune_2_4",
    "benchgate.transforms.structured",
    "benchgate.transforms.low_rank",
    "benchgate.transforms.cluster",
    "benchgate.tasks.causal_lm.passages",
    "benchgate.tasks.causal_lm.task",
    "benchgate.tasks.detection",
    "benchgate.tasks.text2text.reformulation",
    "benchgate.tasks.text2text.task",
    "benchgate.tasks.training_step.task",
    "benchgate.runtimes.torch.runtime",
    "benchgate.runtimes.torch.training_step",
    "benchgate.runtimes.torch.generate",
    "benchgate.runtimes.torchscript.runtime",
    "benchgate.runtimes.onnx.runtime",
    "benchgate.runtimes.litert.runtime",
    "benchgate.runtimes.litert.keras",
    "benchgate.runtimes.ggml.runtime",
    "benchgate.runtimes.ctranslate2.runtime",
    "benchgate.runtimes.gptq.runtime",
    "benchgate.tasks.causal_lm.fidelity",
    "benchgate.serving.request",
    "benchgate.trainer.finetuned",
)
GROUP = "benchgate"


# What else may know a model that is not registered by its name; asked first.
places: list[Callable[[str], Model | None]] = []


def by_place(name: str) -> Model | None:
    """A model for a name that is not registered: one of `places`; a local folder, whose configuration tells a T5 from a
    causal LM; or a hub id, of which nothing is known before its download: a T5 of the hub is registered (`HubT5`) to be
    measured."""
    found = (place(name) for place in (*places, lambda name: text2text_models.from_folder(Path(name)), from_name))
    return next((model for model in found if model is not None), None)


def load_builtin() -> None:
    """Register what benchgate brings and what installed packages add. Import is registration; twice is harmless."""
    for name in BUILTIN:
        importlib.import_module(name)
    models.resolve = by_place
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except BenchgateError:
            raise
        except Exception as error:
            raise BenchgateError(
                f"entry point {entry.name!r} ({entry.value}) of group {GROUP!r} cannot be imported: "
                f"{type(error).__name__}: {error}; pip uninstall its package or mend it"
            ) from error


def load_project(start: Path) -> Path:
    """Register what the project around `start` brings and return its root.

    That is what its `conftest.py` names in `pytest_plugins`: what pytest would import, for the command.
    """
    load_builtin()
    root = find_root(start)
    path = root / "conftest.py"
    if not path.is_file():
        return root
    sys.path.insert(0, str(root))
    try:
        conftest = importlib.import_module(path.stem)
        named = getattr(conftest, "pytest_plugins", ())
        for name in [named] if isinstance(named, str) else named:
            importlib.import_module(name)
    except BenchgateError:
        raise
    except Exception as error:
        raise BenchgateError(f"{path} cannot be imported: {told_with_place(error, root)}") from error
    return root
