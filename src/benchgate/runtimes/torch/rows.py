"""The support of torch and of what is made of it.

torch: a session is called `(module, device, kernel, model)`, a compressor `(module, scheme)`. torch-training: a session
is called `(spec)`.
"""

from __future__ import annotations

from benchgate.core import Model, Scheme
from benchgate.core.protocols import HasArchitecture
from benchgate.core.support import ONE_CALL, compressor, session

# Tasks and architectures whose models gain nothing from what compresses linear layers.
OTHER_LAYERS = {"detection": "convolutions", "lstm": "LSTM layers"}


def few_linear_layers(model: Model, scheme: Scheme, runtime: str) -> str | None:
    """Why the scheme, which compresses linear layers, does nothing for the model, or None."""
    architecture = model.architecture if isinstance(model, HasArchitecture) else ""
    for kind in (model.task, architecture):
        if kind in OTHER_LAYERS:
            return f"{scheme.name} on {runtime} compresses linear layers, {kind} models are {OTHER_LAYERS[kind]}"
    return None


session("torch", ONE_CALL, "benchgate.runtimes.torch.runtime:TorchSession")
session("torch", "causal-lm", "benchgate.runtimes.torch.causal_lm:TorchLMSession")
session("torch", "text2text", "benchgate.runtimes.torch.text2text:TorchText2TextSession")
session(
    "torch-generate",
    "text2text",
    "benchgate.runtimes.torch.text2text:TorchGenerateSession",
    refuses="benchgate.tasks.text2text.stepped:other_than_t5",
)

compressor("torch", "float", "benchgate.runtimes.torch.compress:to_dtype")
for _method in ("int8-dynamic", "int8-weight-only", "int4-weight-only"):
    _target = f"benchgate.runtimes.torch.compress:{_method.replace('-', '_')}"
    compressor("torch", _method, _target, refuses="benchgate.runtimes.torch.rows:few_linear_layers")

for _task in ("training", "causal-lm", "text2text"):
    session("torch-training", _task, "benchgate.runtimes.torch.training_step:TorchTrainingSession")
compressor("torch-training", "float", dtypes=("float32",))
compressor("torch-training", "autocast")
