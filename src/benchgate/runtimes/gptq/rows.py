"""The support of GPTQ. A session is called `(module, quantized layers, dequantised, kernel)`."""

from __future__ import annotations

from benchgate.core.support import compressor, session

session("gptq", "causal-lm", "benchgate.runtimes.gptq.session:GPTQSession", by_name=True)
compressor("gptq", "gptq")
