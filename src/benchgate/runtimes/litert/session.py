"""A .tflite file run by ai-edge-litert's interpreter, whatever converter wrote it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchgate.core import DataError, InvalidOutput, Model
from benchgate.core.arrays import np
from benchgate.machine import workers
from benchgate.runtimes.graphs import fed, first_line
from benchgate.storage.reading import reading

FILE = "model.tflite"
IDENTIFIER = b"TFL3"
TRIED_S = 300.0


@dataclass(frozen=True)
class Opened:
    """An artifact's folder and how its files are to be run; `mapped`, or read into a buffer."""

    folder: Path
    xnnpack: bool
    threads: int
    mapped: bool = True


def load(opened: Opened, model: Model) -> LiteRTSession:
    """The session of the artifact's one file."""
    return LiteRTSession(opened.folder / FILE, opened.xnnpack, opened.threads, opened.mapped)


class LiteRTSession:
    """Called with a float32 array (NCHW for images, whatever the file's layout); answers by output name, float32."""

    def __init__(self, path: Path, xnnpack: bool, threads: int, mapped: bool = True) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.path, self.threads = checked(path), threads
        with self._reading():
            weights = {"model_path": str(path)} if mapped else {"model_content": path.read_bytes()}
            self.interpreter: Any = Interpreter(**weights, num_threads=threads, experimental_op_resolver_type=resolver)
            self.interpreter.allocate_tensors()
            self.inputs = self.interpreter.get_input_details()
            self.outputs = self.interpreter.get_output_details()

    def _reading(self) -> contextlib.AbstractContextManager[None]:
        return reading(self.path, "a LiteRT file", "convert it again")

    def __call__(self, inputs: Any) -> dict[str, Any]:
        given = fed(self.path.name, [detail["name"] for detail in self.inputs], inputs)
        try:
            for detail, value in zip(self.inputs, given, strict=True):
                self._set(detail, value)
            self.interpreter.invoke()
            return {
                detail["name"]: _dequantized(detail, self.interpreter.get_tensor(detail["index"]))
                for detail in self.outputs
            }
        except (RuntimeError, ValueError) as error:
            raise InvalidOutput(f"{self.path.name}: LiteRT failed to run it: {first_line(error)}") from error

    def _set(self, detail: Mapping[str, Any], value: Any) -> None:
        value = _quantized(detail, laid_out(value, tuple(detail["shape"])))
        if value.shape != tuple(detail["shape"]):
            self._resize(detail, value.shape)
        self.interpreter.set_tensor(detail["index"], value)

    def _resize(self, detail: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        try:
            self.interpreter.resize_tensor_input(detail["index"], shape)
            self.interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise DataError(
                f"{self.path.name}: input {list(detail['shape'])} cannot become {list(shape)}: {first_line(error)}"
            ) from error
        self.inputs = self.interpreter.get_input_details()

    @cached_property
    def kernel(self) -> Mapping[str, Any]:
        """Operators counted by who runs them: `{"XNNPACK": {"CONV_2D float32": 13}, "LiteRT": {...}}`."""
        with self._reading():
            return {"threads": self.threads, "delegates": operators(self.interpreter._get_ops_details())}

    @cached_property
    def weights_bytes(self) -> int | None:
        """Bytes of the constant tensors in the file; XNNPACK's packed copies come on top."""
        from ai_edge_litert import schema_py_generated as schema

        with self._reading():
            found = schema.Model.GetRootAsModel(self.path.read_bytes(), 0)
            buffers = (found.Buffers(i) for i in range(found.BuffersLength()))
            # A buffer lies in the flatbuffer, or behind it at Offset() where Offset() is more than 1.
            return sum(int(b.Size() if b.Offset() > 1 else b.DataLength()) for b in buffers)

    def close(self) -> None:
        self.interpreter = None


def operators(details: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Who runs what, from the interpreter's operator list after delegation.

    The list holds the replaced operators and the delegates; what a delegate replaced is what lies between its inputs
    and its outputs.
    """
    delegates = [op for op in details if op["op_name"] == "DELEGATE"]
    plain = [op for op in details if op["op_name"] != "DELEGATE"]
    makers = {int(tensor): position for position, op in enumerate(plain) for tensor in op["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        borders = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            position = makers.get(tensor)
            if tensor in borders or position is None or position in taken:
                continue
            taken.add(position)
            waiting.extend(int(t) for t in plain[position]["inputs"])
    counts: dict[str, Counter[str]] = {"XNNPACK": Counter(), "LiteRT": Counter()}
    for position, op in enumerate(plain):
        counts["XNNPACK" if position in taken else "LiteRT"][_label(op)] += 1
    return {who: dict(count.most_common()) for who, count in counts.items() if count}


def _label(op: Mapping[str, Any]) -> str:
    """`CONV_2D float32 (int8 weights)`."""
    result = np.dtype(op["result_types"][0]).name if op["result_types"] else "?"
    operands = [np.dtype(kind).name for kind in op["operand_types"][:2]]
    other = operands[1] if len(operands) > 1 else result
    return f"{op['op_name']} {result}" + (f" ({other} weights)" if other not in {result, "int32"} else "")


def checked(path: Path) -> Path:
    """Raises DataError for a file that is missing or no flatbuffer of a TensorFlow Lite model."""
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if head[4:] != IDENTIFIER:
        raise DataError(f"{path}: not a .tflite file (bytes 4 to 8 are {head[4:]!r}, expected {IDENTIFIER!r})")
    return path


def tried(path: Path, xnnpack: bool) -> Path:
    """The file itself, once a process of its own has opened it. Raises DataError.

    On some damaged files LiteRT's reader ends the process: that must be neither a command's nor a session's end.
    """
    checked(path)
    with workers.start(["ai_edge_litert.interpreter"], why="a damaged file may end it") as worker:
        try:
            worker.call(_open, path, xnnpack, timeout_s=TRIED_S)
        except (workers.WorkerDied, workers.WorkerTimeout) as error:
            raise DataError(
                f"{path}: cannot be read as a LiteRT file (its reader {error}); convert it again"
            ) from error
    return path


def _open(path: Path, xnnpack: bool) -> None:
    LiteRTSession(path, xnnpack, 1).close()


def laid_out(value: Any, shape: tuple[int | None, ...]) -> Any:
    """NCHW images as NHWC where the file wants that; anything else as it is."""
    value = np.asarray(value)
    if value.ndim == 4 and value.shape[1:] != shape[1:] and (*value.shape[2:], value.shape[1]) == shape[1:]:
        return np.ascontiguousarray(value.transpose(0, 2, 3, 1))
    return value


def _quantized(detail: Mapping[str, Any], value: Any) -> Any:
    """Float input as the integers that a full-integer file takes."""
    wanted = np.dtype(detail["dtype"])
    scale, zero = detail["quantization"]
    if wanted.kind not in "iu" or np.asarray(value).dtype.kind != "f" or not scale:
        return np.ascontiguousarray(value, dtype=wanted)
    limits = np.iinfo(wanted)
    return np.clip(np.round(value / scale) + zero, limits.min, limits.max).astype(wanted)


def _dequantized(detail: Mapping[str, Any], value: Any) -> Any:
    scale, zero = detail["quantization"]
    if value.dtype.kind not in "iu" or not scale:
        return value
    return (value.astype(np.float32) - zero) * np.float32(scale)
