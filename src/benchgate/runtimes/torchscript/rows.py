"""The support of TorchScript: modules with `begin` and `step`. A session is called `(stepper, model)`, a compressor
`(module, scheme)`, before tracing."""

from __future__ import annotations

from benchgate.core.support import compressor, session

session("torchscript", "text2text", "benchgate.tasks.text2text.stepped:SteppedSession")
compressor("torchscript", "float", "benchgate.runtimes.torchscript.runtime:to_float32", dtypes=("float32",))
compressor("torchscript", "int8-dynamic", "benchgate.runtimes.torchscript.runtime:int8_dynamic")
