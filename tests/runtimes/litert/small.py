"""A .tflite file of one layer, written without a converter."""

from __future__ import annotations

import numpy as np


def small() -> bytes:
    """y = x w^T + b, x float32 [1, 3], y [1, 2]."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: list[int], buffer: int) -> schema.TensorT:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, shape, schema.TensorType.FLOAT32, buffer
        return made

    def buffer(*values: float) -> schema.BufferT:
        made = schema.BufferT()
        made.data = np.frombuffer(np.array(values, dtype="<f4").tobytes(), dtype=np.uint8) if values else None
        return made

    code, operator, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    graph.tensors = [tensor("x", [1, 3], 0), tensor("w", [2, 3], 1), tensor("b", [2], 2), tensor("y", [1, 2], 0)]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [operator]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [buffer(), buffer(1, 2, 3, 4, 5, 6), buffer(0.5, -0.5)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
