"""Writes model.onnx: a layer that tells whether a point is right of a line. Yours is exported already."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

weight = numpy_helper.from_array(np.array([[1.0, -1.0], [0.5, -0.5]], np.float32), "weight")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["points", "weight"], ["scores"])],
    "line",
    [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["batch", 2])],
    [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])],
    [weight],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), "model.onnx")
