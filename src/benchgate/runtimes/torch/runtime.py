"""PyTorch, eager and compiled. The artifact is a state dict, loaded without unpickling code.

On the CPU its file is mapped unless it is to be read, and the parameters are the mapped tensors themselves: nothing is
copied, whatever the scheme (the parts of a quantized tensor are mapped too).

A model may have `structure()`: the module without its weights' values, built cheaply from a configuration. Where it has
none, `build()` is used and its weights are replaced.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import benchgate.runtimes.torch.rows  # noqa: F401  its support
from benchgate.core import LOAD_WAYS, DataError, Model, Scheme, Session, Unavailable, runtimes, support
from benchgate.core.protocols import Structured
from benchgate.runtimes.torch.compress import register_tensor_types
from benchgate.storage.reading import reading

WEIGHTS = "weights.pt"
AGAIN = "delete its folder to have it built again"


@dataclass(frozen=True)
class TorchRuntime:
    """`compiled` runs the module through torch.compile (inductor).

    A runtime of another name has the rows of `torch` beside its own, unless it names another or itself.
    """

    name: str
    compiled: bool = False
    sessions_of: str = "torch"
    compressors_of: str = "torch"
    format: str = "torch-state-dict"
    needs: Mapping[str, str] = field(default_factory=lambda: {"torch": "torch", "torchao": "torch"})
    ways: ClassVar[tuple[str, ...]] = LOAD_WAYS

    def missing(self, device: str) -> str | None:
        return cannot_compile() if self.compiled and device == "cpu" else None

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        import torch

        register_tensor_types()
        row = support.compressor_row(model, scheme, self)
        module = support.imported(row.target)(model.build().eval(), scheme)
        torch.save(module.state_dict(), out / WEIGHTS)

    def load(self, path: Path, model: Model, device: str, threads: int, way: str = "mmap") -> Session:
        import torch

        register_tensor_types()
        torch.set_num_threads(threads)
        session: Any = support.imported(support.session_row(model, self).session)
        state = read_state(path / WEIGHTS, device, mapped=way == "mmap")
        module = _structure(model).eval()
        with reading(path / WEIGHTS, "a state dict", AGAIN):
            # What shares memory in the file (tied embeddings) shares it again afterwards.
            module.load_state_dict(state, assign=True)
        module = module.requires_grad_(False).to(device)
        if self.compiled:
            compile_functions(module, session.compiled_functions)
        found: Session = session(module, device, {"threads": threads, "compiled": self.compiled}, model)
        return found


def read_state(path: Path, device: str, mapped: bool = True) -> Any:
    """The state dict of a file; for another device than the CPU it is never mapped.

    Raises DataError naming the file when it is not one, or not whole.
    """
    import pickle

    import torch

    with reading(path, "a state dict", AGAIN):
        try:
            state = torch.load(path, map_location=device, mmap=mapped and device == "cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            # Without torch's own words, which advise to read it unsafely.
            raise DataError(f"{path}: holds more than weights and is not read; {AGAIN}") from error
        if not isinstance(state, Mapping):
            raise DataError(f"{path}: a {type(state).__name__}, not a state dict; {AGAIN}")
        return state


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


@runtime_checkable
class InFolder(Protocol):
    """A model that is read from a folder, which is fetched or made where it is not there yet."""

    def folder(self) -> Path: ...


def _structure(model: Model) -> Any:
    """The module that the state dict goes into. Parameters without memory where the model has `structure`."""
    if not isinstance(model, Structured):
        return model.build()
    from accelerate import init_empty_weights

    if isinstance(model, InFolder):
        # There before: what is made within `init_empty_weights` has no values.
        model.folder()
    with init_empty_weights(include_buffers=False):
        return model.structure()


def cannot_compile() -> str | None:
    """The reason why torch.compile cannot compile for the CPU, or None: no C++ compiler, or torch cannot be linked.

    The compiler is the one of torch._inductor.config.cpp.cxx: $CXX, else the system's own. Torch itself is not asked:
    it would be imported for it into a process that only collects, 350 MB and seconds.
    """
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler, there is no {compiler}; apt install g++, or set CXX"
    spec = importlib.util.find_spec("torch")
    folder = str(Path(spec.origin).parent) if spec is not None and spec.origin else ""
    # torch 2.13 hands its own folder to the linker without quotes.
    if " " in folder:
        return f"torch.compile cannot link torch in a folder with a space ({folder}); install it where there is none"
    return None


class TorchSession:
    """A module that is called with a tree of arrays or tensors and answers with numpy arrays (bf16 as float32).

    `model` is what the module was loaded for; only sessions of some tasks ask it something. Compiled torch compiles
    the module's `compiled_functions`.
    """

    compiled_functions: ClassVar[Sequence[str]] = ("forward",)

    def __init__(self, module: Any, device: str, kernel: Mapping[str, Any], model: Any = None) -> None:
        self.module, self.device = module, device
        floats = (p.dtype for p in module.parameters() if p.is_floating_point())
        self.dtype: Any = next(floats, None)
        self.identity = ""
        self.kernel: dict[str, Any] = {**kernel, **describe(module), **quantized_layers(module)}
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


def quantized_layers(module: Any) -> dict[str, Any]:
    """How many linear layers have a quantized weight, and the names of the others; {} where none has."""
    import torch

    linear = {name: m for name, m in module.named_modules() if isinstance(m, torch.nn.Linear)}
    left = [name for name, m in linear.items() if not hasattr(m.weight.data, "__tensor_flatten__")]
    if len(left) == len(linear):
        return {}
    counted = f"quantized {len(linear) - len(left)} of {len(linear)} linear layers"
    return {"quantized": counted, "left_in_float": left}


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
    with _uncollected():
        events = [e for e in profiled.key_averages() if e.self_cpu_time_total > 0]
    total = sum(e.self_cpu_time_total for e in events)
    if not total:
        raise Unavailable("torch's profiler recorded no operator")
    events.sort(key=lambda e: -e.self_cpu_time_total)
    return {e.key: round(e.self_cpu_time_total / total, 3) for e in events[:limit]}


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: of the profiler's many objects it takes half the time and frees nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


runtimes.add(TorchRuntime("torch"))
runtimes.add(TorchRuntime("torch-compile", compiled=True))
