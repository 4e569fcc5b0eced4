"""Pickling for a worker: code that goes by value keeps the name of its file.

cloudpickle names it "<dynamic-code>", so that equal code gives equal bytes. A worker asks code where it was written:
for an artifact's key, and for whoever reads a traceback.
"""

from __future__ import annotations

import io
import types
from collections import ChainMap
from collections.abc import Callable
from typing import Any, ClassVar

import cloudpickle


def dumps(thing: Any) -> bytes:
    """Return `thing` pickled as cloudpickle does, functions with their files. Raises what pickling raises."""
    out = io.BytesIO()
    _Pickler(out).dump(thing)
    return out.getvalue()


def _code(code: types.CodeType) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    make, args, *_ = cloudpickle.CloudPickler.dispatch_table[types.CodeType](code)
    return _from_file, (code.co_filename, make, args)


def _from_file(file: str, make: Callable[..., types.CodeType], args: tuple[Any, ...]) -> types.CodeType:
    return make(*args).replace(co_filename=file)


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    dispatch_table: ClassVar = ChainMap({types.CodeType: _code}, cloudpickle.CloudPickler.dispatch_table)
