"""The support of ONNX Runtime.

A session is called `(opened, model)`, where `opened.graph(file)` runs a file of the artifact; an exporter
`(model, scheme, out, runtime)` writes the artifact; a compressor `(source, target, model, scheme)` writes one .onnx
file from another in float32.
"""

from __future__ import annotations

from benchgate.core.support import ONE_CALL, compressor, session

_HERE = "benchgate.runtimes.onnx"
_FLOAT32 = ("float32",)

session("onnxruntime", ONE_CALL, f"{_HERE}.graph:load", exporter=f"{_HERE}.graph:build", files=(".onnx",))
compressor("onnxruntime", "float", f"{_HERE}.graph:as_float", task=ONE_CALL, dtypes=("float32", "float16"))
compressor("onnxruntime", "int8-dynamic", f"{_HERE}.graph:int8_dynamic", task=ONE_CALL)
compressor("onnxruntime", "int8-static", f"{_HERE}.graph:int8_static", task=ONE_CALL, calibrated=True)

session(
    "onnxruntime",
    "causal-lm",
    f"{_HERE}.causal_lm_session:load",
    exporter=f"{_HERE}.causal_lm:build",
    product="transformers modules",
)
compressor("onnxruntime", "float", task="causal-lm", dtypes=_FLOAT32)
compressor("onnxruntime", "int8-dynamic", f"{_HERE}.causal_lm:int8_dynamic", task="causal-lm")
compressor("onnxruntime", "int4-weight-only", f"{_HERE}.causal_lm:int4_weight_only", task="causal-lm")

session(
    "onnxruntime",
    "text2text",
    f"{_HERE}.text2text:load",
    exporter=f"{_HERE}.text2text:build",
    product="sequence-to-sequence modules",
)
compressor("onnxruntime", "float", f"{_HERE}.graph:as_float", task="text2text", dtypes=_FLOAT32)
compressor("onnxruntime", "int8-dynamic", f"{_HERE}.text2text:int8_dynamic", task="text2text")
