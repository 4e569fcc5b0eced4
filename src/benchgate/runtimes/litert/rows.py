"""The support of LiteRT, by its two routes.

A session is called `(opened, model)`, an exporter `(model, scheme, out, runtime)` writes the artifact. A compressor of
litert is called `(quantizer, source, model)`, one of litert-keras `(converter, keras model, model)`.
"""

from __future__ import annotations

from benchgate.core.support import ONE_CALL, compressor, session

_HERE = "benchgate.runtimes.litert"
_FLOATS = ("float32", "float16")

session("litert", ONE_CALL, f"{_HERE}.session:load", exporter=f"{_HERE}.convert:build", files=(".tflite", ".onnx"))
compressor("litert", "float", f"{_HERE}.convert:float16", task=ONE_CALL, dtypes=_FLOATS)
compressor("litert", "int8-dynamic", f"{_HERE}.convert:int8_dynamic", task=ONE_CALL)
compressor("litert", "int8-weight-only", f"{_HERE}.convert:int8_weight_only", task=ONE_CALL)
compressor("litert", "int8-static", f"{_HERE}.convert:int8_static", task=ONE_CALL, calibrated=True)

session(
    "litert-keras",
    ONE_CALL,
    f"{_HERE}.session:load",
    exporter=f"{_HERE}.keras:build",
    builder="build_keras",
    product="Keras models",
)
compressor("litert-keras", "float", f"{_HERE}.keras:float16", task=ONE_CALL, dtypes=_FLOATS)
compressor("litert-keras", "int8-dynamic", f"{_HERE}.keras:int8_dynamic", task=ONE_CALL)
compressor("litert-keras", "int8-static", f"{_HERE}.keras:int8_static", task=ONE_CALL, calibrated=True)
