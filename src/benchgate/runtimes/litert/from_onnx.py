"""ONNX to .tflite by onnx2tf's direct writer: no TensorFlow and no torch in between, layout NHWC.

onnx2tf pins exact versions of what it uses (older ones of LiteRT and numpy), so it lives in an environment of its own.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchgate.core import DataError, Unavailable
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import first_line, quiet
from benchgate.runtimes.litert.session import LiteRTSession

CONVERTER = {"onnx2tf": "litert-onnx", "onnx": "litert-onnx"}
# The first Python that an onnx2tf with the direct writer installs on.
PYTHON = (3, 12)


def convert(source: Path, target: Path) -> Path:
    """Write the ONNX file `source` as a float32 .tflite, batch 1, to `target`.

    Raises Unavailable without onnx2tf, DataError for a file that is no ONNX or that it cannot convert.
    """
    if reason := missing_packages(CONVERTER):
        raise Unavailable(_with_python(reason))
    import onnx2tf

    with tempfile.TemporaryDirectory() as folder, _explained(source), quiet():
        _check(source)
        # A copy: it simplifies the graph and writes beside the file it was given.
        copy = Path(shutil.copyfile(source, Path(folder) / "model.onnx"))
        onnx2tf.convert(
            input_onnx_file_path=str(copy), output_folder_path=folder, batch_size=1, verbosity="error", non_verbose=True
        )
        written = Path(folder) / "model_float32.tflite"
        # An operator that onnx2tf does not know it writes as a custom one, which no interpreter here has.
        LiteRTSession(written, xnnpack=True, threads=1).close()
        return Path(shutil.move(written, target))


def _with_python(reason: str) -> str:
    if sys.version_info >= PYTHON:
        return reason
    needed, here = (".".join(map(str, version[:2])) for version in (PYTHON, sys.version_info))
    return f"{reason} in an environment with Python {needed} or newer, which onnx2tf needs; this is {here}"


def _check(source: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(source))


@contextmanager
def _explained(source: Path) -> Iterator[None]:
    """Turn an error of other people's code into one line that names the file."""
    from google.protobuf.message import DecodeError
    from onnx.checker import ValidationError
    from onnx.shape_inference import InferenceError

    try:
        yield
    except (DecodeError, ValidationError, InferenceError) as error:
        raise DataError(f"{source}: not a valid ONNX file: {first_line(error)}") from error
    except (DataError, SystemExit, NotImplementedError, RuntimeError, ValueError, FileNotFoundError) as error:
        # onnx2tf leaves by sys.exit where it gives up on an operator.
        raise DataError(f"{source}: onnx2tf cannot convert it to .tflite: {first_line(error)}") from error
