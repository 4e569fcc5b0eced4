"""Find everything there is to measure: the built-in modules, installed entry points, and a project's own fixtures."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import entry_points
from pathlib import Path

from benchgate import text2text_models
from benchgate.core import BenchgateError, Model, models
from benchgate.language_models import from_name

BUILTIN = (
    "benchgate.schemes",
    "benchgate.passages",
    "benchgate.tasks.causal_lm",
    "benchgate.tasks.detection",
    "benchgate.tasks.text2text",
    "benchgate.tasks.training",
    "benchgate.runtimes.torch",
    "benchgate.runtimes.torch_training",
    "benchgate.runtimes.torch_generate",
    "benchgate.runtimes.torchscript",
    "benchgate.runtimes.onnxruntime",
    "benchgate.runtimes.litert",
    "benchgate.runtimes.ggml",
    "benchgate.runtimes.ctranslate2",
    "benchgate.runtimes.gptq",
    "benchgate.fidelity",
)
GROUP = "benchgate"


def by_place(name: str) -> Model | None:
    """A model for a name that is not registered: a local folder, whose configuration tells a T5 from a causal LM, or a
    hub id, of which nothing is known before its download: a T5 of the hub is registered (`HubT5`) to be measured."""
    return text2text_models.from_folder(Path(name)) or from_name(name)


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


def load_project(root: Path) -> None:
    """Register what `conftest.py` in `root` names in `pytest_plugins`: what pytest would import, for the CLI."""
    load_builtin()
    if not (root / "conftest.py").is_file():
        return
    sys.path.insert(0, str(root))
    try:
        conftest = importlib.import_module("conftest")
        named = getattr(conftest, "pytest_plugins", ())
        for name in [named] if isinstance(named, str) else named:
            importlib.import_module(name)
    except BenchgateError:
        raise
    except Exception as error:
        raise BenchgateError(f"{root / 'conftest.py'} cannot be imported: {type(error).__name__}: {error}") from error
