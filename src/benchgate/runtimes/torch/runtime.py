"""PyTorch, eager and compiled. The artifact is a state dict, read back memory-mapped and without unpickling code.

A model may have `structure()`: the module without its weights' values, built cheaply from a configuration. Where it has
none, `build()` is used and its weights are replaced.
"""

from __future__ import annotations

import copyreg
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Model, Scheme, Session, Unavailable, runtimes

WEIGHTS = "weights.pt"


def _to_dtype(module: Any, scheme: Scheme) -> Any:
    import torch

    return module.to(getattr(torch, scheme.options["dtype"]))


def _torchao(module: Any, config: Any) -> Any:
    """Quantize the linear layers of the module in bf16, from which torchao's int8 and int4 kernels are fastest.

    An output layer that shares its weight with the embedding stays as it is: quantizing it would add a second copy.
    """
    import torch
    from torchao.quantization import quantize_

    module = module.to(torch.bfloat16)
    shared = {id(m.weight) for m in module.modules() if isinstance(m, torch.nn.Embedding)}
    quantize_(module, config, lambda m, _: isinstance(m, torch.nn.Linear) and id(m.weight) not in shared)
    return module


def _int8_dynamic(module: Any, scheme: Scheme) -> Any:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig

    return _torchao(module, Int8DynamicActivationInt8WeightConfig())


def _int8_weight_only(module: Any, scheme: Scheme) -> Any:
    from torchao.quantization import Int8WeightOnlyConfig

    return _torchao(module, Int8WeightOnlyConfig())


def _int4_weight_only(module: Any, scheme: Scheme) -> Any:
    from torchao.prototype.quantization.int4.inference_workflow import PrototypeInt4WeightOnlyConfig

    # inductor settings are process-wide: one cell must not change how the next one is compiled
    config = PrototypeInt4WeightOnlyConfig(group_size=scheme.options["group_size"], set_inductor_config=False)
    return _torchao(module, config)


# method -> how this runtime compresses a module
COMPRESS: Mapping[str, Callable[[Any, Scheme], Any]] = {
    "float": _to_dtype,
    "int8-dynamic": _int8_dynamic,
    "int8-weight-only": _int8_weight_only,
    "int4-weight-only": _int4_weight_only,
}
# Methods that compress linear layers only: what is made of other layers gains nothing from them.
LINEAR_ONLY = frozenset({"int8-dynamic", "int8-weight-only", "int4-weight-only"})
# task, or `architecture` of a model that names it -> what its models are made of
OTHER_LAYERS = {"detection": "convolutions", "lstm": "LSTM layers"}

PLAIN_SESSION = "benchgate.runtimes.torch.runtime:TorchSession"
# task -> the session that speaks its protocol; every other task gets a plain call
SESSIONS: Mapping[str, str] = {
    "causal-lm": "benchgate.runtimes.torch.causal_lm:TorchLMSession",
    "text2text": "benchgate.runtimes.torch.text2text:TorchText2TextSession",
}
# task -> the functions of its modules that are compiled; `forward` of every other
COMPILED: Mapping[str, tuple[str, ...]] = {"text2text": ("begin", "step")}


@dataclass(frozen=True)
class TorchRuntime:
    """`compiled` runs the module through torch.compile (inductor). `session` is used instead of the task's own."""

    name: str
    compiled: bool = False
    session: str | None = None
    format: str = "torch-state-dict"
    needs: Mapping[str, str] = field(default_factory=lambda: {"torch": "torch", "torchao": "torch"})

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        if not hasattr(model, "build"):
            return f"{model.name} is a file of another runtime's format, not a torch module"
        if scheme.method not in COMPRESS:
            return f"{self.name} has no {scheme.method} compression"
        for kind in (model.task, getattr(model, "architecture", "")):
            if scheme.method in LINEAR_ONLY and kind in OTHER_LAYERS:
                return f"{scheme.name} on {self.name} compresses linear layers, {kind} models are {OTHER_LAYERS[kind]}"
        return None

    def missing(self, device: str) -> str | None:
        return missing_compiler() if self.compiled and device == "cpu" else None

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        import torch

        _register_tensor_types()
        module = COMPRESS[scheme.method](model.build().eval(), scheme)
        torch.save(module.state_dict(), out / WEIGHTS)

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        import torch

        _register_tensor_types()
        torch.set_num_threads(threads)
        state = _read(path / WEIGHTS, device)
        module = _structure(model).eval()
        # What shares memory in the file (tied embeddings) shares it again afterwards.
        module.load_state_dict(state, assign=True)
        module = module.requires_grad_(False).to(device)
        if self.compiled:
            compile_functions(module, COMPILED.get(model.task, ("forward",)))
        return _session(self.session or SESSIONS.get(model.task, PLAIN_SESSION))(
            module, device, {"threads": threads, "compiled": self.compiled}, model
        )


def _read(path: Path, device: str) -> Any:
    """The state dict of a file. Raises DataError naming it when it is not one, or not whole."""
    import pickle

    import torch

    try:
        return torch.load(path, map_location=device, mmap=device == "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Without torch's own words, which advise to read it unsafely.
        raise DataError(
            f"{path}: holds more than weights and is not read; delete its folder to have it built again"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path}: not a whole state dict ({reason}); delete its folder to have it built again"
        ) from error


def compile_functions(module: Any, names: Sequence[str] = ("forward",)) -> None:
    """Let torch.compile (inductor) have the module's functions; it compiles in the first call of each."""
    # inductor imports it in the middle of tracing, where its replacement of distutils has failed
    import setuptools  # noqa: F401
    import torch

    # A pool of compile workers has hung on small machines, and a compile time should not depend on it.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for name in names:
        setattr(module, name, torch.compile(getattr(module, name)))


def _register_tensor_types() -> None:
    """torchao's modules name their tensor types as safe to load when they are imported; nothing else becomes so."""
    import torch
    from torchao.prototype.quantization.int4 import Int4OpaqueTensor
    from torchao.quantization.quant_primitives import MappingType
    from torchao.quantization.quantize_.common import KernelPreference

    torch.serialization.add_safe_globals([Int4OpaqueTensor])
    # Older Pythons (3.11.2 does) pickle a member of an enumeration through getattr, which no safe reader may allow.
    for kind in (KernelPreference, MappingType):
        copyreg.pickle(kind, lambda member: (type(member), (member.value,)))


def _structure(model: Any) -> Any:
    """The module that the state dict goes into. Parameters without memory where the model has `structure`."""
    if not hasattr(model, "structure"):
        return model.build()
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return model.structure()


def _session(place: str) -> Callable[..., Session]:
    """The class at "module:name"."""
    module, _, name = place.partition(":")
    found: Callable[..., Session] = getattr(import_module(module), name)
    return found


def missing_compiler() -> str | None:
    """torch.compile needs a C++ compiler on the CPU; the one it would take is asked of torch itself."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "torch.compile needs a C++ compiler; apt install g++"
    return None


class TorchSession:
    """A module that is called with a tree of arrays or tensors and answers with numpy arrays (bf16 as float32).

    `model` is what the module was loaded for; only sessions of some tasks ask it something.
    """

    def __init__(self, module: Any, device: str, kernel: Mapping[str, Any], model: Any = None) -> None:
        self.module, self.device = module, device
        floats = (p.dtype for p in module.parameters() if p.is_floating_point())
        self.dtype: Any = next(floats, None)
        self.identity = ""
        self.kernel: dict[str, Any] = {**kernel, **describe(module)}
        self.weights_bytes: int | None = weights_bytes(module)
        if count := weights_count(module):
            self.kernel["bits_per_weight"] = round(8 * self.weights_bytes / count, 3)

    def __call__(self, inputs: Any) -> Any:
        import torch
        from torch.utils._pytree import tree_map

        with torch.inference_mode():
            return tree_map(to_numpy, self.module(tree_map(self._to_device, inputs)))

    def _to_device(self, leaf: Any) -> Any:
        import numpy as np
        import torch

        tensor = torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf
        if not isinstance(tensor, torch.Tensor):
            return tensor
        # A task knows nothing of bf16: its float inputs become what the module computes in.
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else None)

    def observe(self, call: Callable[[], Any]) -> dict[str, Any]:
        """The operators that took the time in one call, by share: shows an int8 that silently ran in float."""
        return {"operators": top_operators(call)}

    def close(self) -> None:
        del self.module


def to_numpy(leaf: Any) -> Any:
    """A tensor as a numpy array on the CPU; bf16, which numpy does not have, as float32. Anything else as it is."""
    import torch

    if not isinstance(leaf, torch.Tensor):
        return leaf
    return (leaf.float() if leaf.dtype == torch.bfloat16 else leaf).cpu().numpy()


def describe(module: Any) -> dict[str, Any]:
    """Counts of the kinds of weights by tensor type and dtype: `{"Parameter float32": 211, "Int8Tensor": 210}`."""
    counts: dict[str, int] = {}
    for parameter in module.parameters():
        data = parameter.data
        kind = type(data).__name__ if type(data).__name__ not in ("Tensor", "Parameter") else "dense"
        label = f"{kind} {str(data.dtype).removeprefix('torch.')}"
        counts[label] = counts.get(label, 0) + 1
    return {"weights": counts}


def weights_bytes(module: Any) -> int:
    """Bytes of all parameters and buffers; shared storage (tied embeddings) counts once, packed types as packed."""
    storages = {}
    for tensor in [*module.parameters(), *module.buffers()]:
        for part in _parts(tensor.data):
            storage = part.untyped_storage()
            storages[storage.data_ptr()] = min(storage.nbytes(), part.nbytes) or part.nbytes
    return sum(storages.values())


def weights_count(module: Any) -> int:
    """How many weights the parameters are, whatever they are packed into; tied ones count once."""
    counts = {_parts(p.data)[0].untyped_storage().data_ptr(): int(p.numel()) for p in module.parameters()}
    return sum(counts.values())


def _parts(tensor: Any) -> list[Any]:
    """The plain tensors inside a tensor subclass (quantized data, scales, zero points), or the tensor itself."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [part for name in names for part in _parts(getattr(tensor, name))]


def top_operators(call: Callable[[], Any], limit: int = 4) -> dict[str, float]:
    """Share of self CPU time of the heaviest operators in one call, from torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        call()
    events = [e for e in profiled.key_averages() if e.self_cpu_time_total > 0]
    total = sum(e.self_cpu_time_total for e in events)
    if not total:
        raise Unavailable("torch's profiler recorded no operator")
    events.sort(key=lambda e: -e.self_cpu_time_total)
    return {e.key: round(e.self_cpu_time_total / total, 3) for e in events[:limit]}


runtimes.add(TorchRuntime("torch"))
runtimes.add(TorchRuntime("torch-compile", compiled=True))
