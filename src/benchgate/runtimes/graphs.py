"""Small parts that the runtimes of whole graphs (ONNX Runtime, LiteRT) have in common."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from benchgate.core import DataError
from benchgate.core.arrays import np


def parts(inputs: Any) -> list[Any]:
    """The arrays of a call's inputs: a tuple or list of them, or one alone."""
    return list(inputs) if isinstance(inputs, tuple | list) else [np.asarray(inputs)]


def fed(file: str, names: Sequence[str], inputs: Any) -> list[Any]:
    """The arrays of a call for the graph's inputs. Raises DataError where there are not as many of both."""
    given = parts(inputs)
    if len(given) != len(names):
        raise DataError(f"{file} takes {len(names)} inputs ({', '.join(names)}), got {len(given)}")
    return given


def first_line(error: BaseException) -> str:
    """Return the first line of an error, or its kind where it says nothing."""
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
