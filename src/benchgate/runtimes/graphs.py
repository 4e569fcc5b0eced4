"""What the runtimes that execute whole graphs (ONNX Runtime, LiteRT) have in common: what they refuse, and small parts.

One call of their session is one run of a graph, made from a model's module or from a file that is there already.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchgate.core import Model, Scheme

# Tasks whose models are run step by step, so that one call of a graph is not what they are timed by.
STEPWISE_TASKS = frozenset({"causal-lm", "text2text", "training"})


@dataclass(frozen=True)
class Accepts:
    """What a runtime can make its graph from.

    `builder` is the model's method that gives what is converted, `product` the word for that; `files` the suffixes of
    model files that are taken; `methods` and `dtypes` the schemes; `tasks` the stepwise tasks that are served too.
    """

    builder: str
    product: str
    files: tuple[str, ...]
    methods: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32", "float16")
    tasks: tuple[str, ...] = ()

    def refuses(self, name: str, model: Model, scheme: Scheme) -> str | None:
        """Why the runtime `name` never takes this model in this scheme, or None."""
        return self._refuses_source(name, model) or self._refuses_scheme(name, model, scheme)

    def _refuses_source(self, name: str, model: Model) -> str | None:
        path = getattr(model, "path", None)
        if path is not None and Path(path).suffix not in self.files:
            return f"{model.name} is {Path(path).name}, {name} takes {' and '.join((self.product, *self.files))}"
        if path is None and not hasattr(model, self.builder):
            return f"{model.name} has no {self.builder}(), {name} takes {' and '.join((self.product, *self.files))}"
        if model.task in STEPWISE_TASKS and model.task not in self.tasks:
            return f"{model.task} models are run step by step, {name} runs one graph a call"
        return None

    def _refuses_scheme(self, name: str, model: Model, scheme: Scheme) -> str | None:
        if scheme.method not in self.methods:
            return f"{name} has no {scheme.method} compression"
        if scheme.method == "float" and scheme.options.get("dtype") not in self.dtypes:
            return f"{name} has no {scheme.name}, only {', '.join(self.dtypes)}"
        if scheme.method == "int8-static" and not hasattr(model, "calibration"):
            return f"{model.name} has no calibration(), which {scheme.name} needs"
        return None


def parts(inputs: Any) -> list[Any]:
    """The arrays of a call's inputs: a tuple or list of them, or one alone."""
    return list(inputs) if isinstance(inputs, tuple | list) else [np.asarray(inputs)]


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the converters' progress notes and warnings out of the test run's output."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
