"""Writes model.tflite: a layer that tells whether a point is right of a line. Yours is exported already."""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

WEIGHT = [[1.0, 0.5], [-1.0, -0.5]]


def tensor(name, shape, buffer=0):
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, shape, schema.TensorType.FLOAT32, buffer
    return made


empty, weight = schema.BufferT(), schema.BufferT()
weight.data = np.frombuffer(np.array(WEIGHT, "<f4").tobytes(), np.uint8)

code, layer = schema.OperatorCodeT(), schema.OperatorT()
code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
layer.inputs, layer.outputs = [0, 1, -1], [2]
layer.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
layer.builtinOptions = schema.FullyConnectedOptionsT()

graph, model = schema.SubGraphT(), schema.ModelT()
graph.tensors = [tensor("points", [1, 2]), tensor("weight", [2, 2], buffer=1), tensor("scores", [1, 2])]
graph.inputs, graph.outputs, graph.operators = [0], [2], [layer]
model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [empty, weight]

builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), b"TFL3")
Path("model.tflite").write_bytes(builder.Output())
