"""A graph run by ONNX Runtime, and what it says of itself: operators after optimisation, bytes of its weights."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Unavailable
from benchgate.machine import spinning
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import fed, first_line
from benchgate.storage.reading import reading

FILE = "model.onnx"
# What the exporters add to a graph's name for the file with its weights.
WEIGHTS_SUFFIX = ".data"
# Operators whose output type is not that of an input.
OUTPUT_TYPES = {"ConvInteger": "int32", "MatMulInteger": "int32", "DynamicQuantizeLinear": "uint8", "Less": "bool"}


@dataclass(frozen=True)
class Opened:
    """An artifact's folder and how its files are to be run: optimisation level, execution provider, threads, device.

    Weights in a file of their own are always mapped. Unless they are to stay so (`mapped`), ONNX Runtime then copies
    them, packed for its kernels, and lets the file go.
    """

    folder: Path
    level: str
    provider: str
    threads: int
    device: str
    mapped: bool = False

    def graph(self, file: str, kind: type[OnnxSession] | None = None) -> OnnxSession:
        """Return the session of one .onnx file of the artifact; `kind` is a subclass of OnnxSession."""
        return (kind or OnnxSession)(self.folder / file, self.level, self.provider, self.threads, self.mapped)


class OnnxGraph:
    """A loaded graph: what every session on ONNX Runtime is and tells."""

    def __init__(self, path: Path, level: str, provider: str, threads: int, mapped: bool = False) -> None:
        self.options = session_options(level, threads)
        if mapped:
            keep_mapped(path, self.options)
        self.path, self.provider, self.level = path, provider, level
        self.identity = ""
        self.session: Any = open_session(path, self.options, provider)
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.outputs = [value.name for value in self.session.get_outputs()]
        self.shapes = [value.shape for value in self.session.get_inputs()]

    @cached_property
    def kernel(self) -> Mapping[str, Any]:
        """Operators after optimisation, counted by name and output type, as ONNX Runtime itself writes them.

        Read when asked for (the graph is optimised once more), so that loading stays what it is.
        """
        described = {"provider": self.provider, "optimization": self.level, "threads": self._threads}
        if missing_packages({"onnx": "onnx"}):
            return {**described, "operators": "unknown: onnx is not installed"}
        return {**described, "operators": optimized_operators(self.path, self.options, self.provider)}

    @cached_property
    def weights_bytes(self) -> int | None:
        """Bytes of the file's initializers, None where the onnx package is missing."""
        if missing_packages({"onnx": "onnx"}):
            return None
        return initializer_bytes(self.path)

    @property
    def _threads(self) -> int:
        return int(self.options.intra_op_num_threads)

    def close(self) -> None:
        self.session = None


class OnnxSession(OnnxGraph):
    """Called with an array (or a tuple of arrays); answers with a mapping from output name to array."""

    def __call__(self, inputs: Any) -> dict[str, Any]:
        feed = dict(zip(self.inputs, fed(self.path.name, self.inputs, inputs), strict=True))
        return dict(zip(self.outputs, self._run(feed), strict=True))

    def _run(self, feed: Mapping[str, Any]) -> list[Any]:
        try:
            found: list[Any] = self.session.run(self.outputs, feed)
            return found
        except errors() as error:
            expected = dict(zip(self.inputs, self.shapes, strict=True))
            given = {name: list(value.shape) for name, value in feed.items()}
            raise DataError(f"{self.path.name} takes {expected}, got {given}: {first_line(error)}") from error


def session_options(level: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning.allowed())))
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    return options


def keep_mapped(path: Path, options: Any) -> None:
    """Have the weights used where they are mapped. Raises Unavailable where they are inside the graph's file."""
    weights = path.with_name(path.name + WEIGHTS_SUFFIX)
    if not weights.is_file():
        raise Unavailable(
            f"{path.name} holds its weights itself, and ONNX Runtime reads it whole; only weights in a file of their "
            f"own ({weights.name}) can be mapped; leave --cell-load mmap out"
        )
    options.add_session_config_entry("session.disable_prepacking", "1")


def open_session(path: Path, options: Any, provider: str) -> Any:
    import onnxruntime

    again = "export it again, with operators and an opset that this version knows"
    with reading(path, f"a graph for ONNX Runtime {onnxruntime.__version__}", again):
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])


def initializer_bytes(path: Path) -> int:
    """Bytes of the file's weights, by their shapes and types: external data are not read."""
    import onnx

    with reading(path, "an ONNX file", "export it again"):
        weights = onnx.load(path, load_external_data=False).graph.initializer
        sizes = (math.prod(w.dims) * onnx.helper.tensor_dtype_to_np_dtype(w.data_type).itemsize for w in weights)
        return int(sum(sizes))


def errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoSuchFile",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


def optimized_operators(path: Path, options: Any, provider: str) -> dict[str, int]:
    """`{"QLinearConv uint8": 13, "Cast float16": 4}`: counts of the operators that ONNX Runtime executes."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / FILE
        again = onnxruntime.SessionOptions()
        again.graph_optimization_level = options.graph_optimization_level
        again.log_severity_level = 4
        again.optimized_model_filepath = str(written)
        # Weights beside it, unread: a graph with them may be larger than a protobuf can be.
        again.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.bin")
        open_session(path, again, provider)
        graph = onnx.load(written, load_external_data=False).graph
    types = _types(graph)
    return dict(Counter(f"{node.op_type} {types.get(node.output[0], '?')}" for node in graph.node).most_common())


def _types(graph: Any) -> dict[str, str]:
    """Element type of every value. The optimiser's own operators have none: they take that of their inputs."""
    import onnx

    known = {v.name: _name(v.type.tensor_type.elem_type) for v in [*graph.value_info, *graph.output, *graph.input]}
    known |= {weight.name: _name(weight.data_type) for weight in graph.initializer}
    for node in graph.node:
        for output in node.output:
            known.setdefault(output, _output_type(node, known, onnx.helper.get_node_attr_value))
    return known


def _output_type(node: Any, known: Mapping[str, str], attribute: Callable[[Any, str], Any]) -> str:
    if node.op_type in OUTPUT_TYPES:
        return OUTPUT_TYPES[node.op_type]
    if node.op_type == "Cast":
        return _name(attribute(node, "to"))
    # DequantizeLinear gives its scale's type, QuantizeLinear its zero point's, any other its first input's.
    position = {"DequantizeLinear": 1, "QuantizeLinear": 2, "Where": 1}.get(node.op_type, 0)
    return known.get(node.input[position], "?") if position < len(node.input) else "?"


def _name(kind: int) -> str:
    import onnx

    name = onnx.TensorProto.DataType.Name(kind).lower()
    return "float32" if name == "float" else name
