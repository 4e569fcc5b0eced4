"""One model in training on PyTorch: the parts of a step, its floating-point operations, what compiling did."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchgate.core import Model, Scheme, Unavailable
from benchgate.machine.devices import devices
from benchgate.machine.limits import is_out_of_memory, limit_process_memory
from benchgate.runtimes.torch.runtime import compile_functions, describe
from benchgate.runtimes.torch.training_inputs import Batch, batch_of
from benchgate.tasks.training_step.task import Flops, Setting

# Our name of an attention kernel -> torch's.
BACKENDS = {"math": "MATH", "flash": "FLASH_ATTENTION", "efficient": "EFFICIENT_ATTENTION", "cudnn": "CUDNN_ATTENTION"}
NO_KERNEL = ("No available kernel", "No viable backend")
# Sides of the square matrices whose product is timed for the peak, by device: the best one counts.
MATMUL_SIDES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192), "mps": (1024, 2048, 4096)}
MATMUL_REPEATS = 5


@dataclass(frozen=True)
class Spec:
    """The model to train and how; picklable. The scheme's `dtype` is what autocast computes in, or float32."""

    model: Model
    scheme: Scheme
    device: str
    threads: int
    compiled: bool


class Trainer:
    """The parts of a step on a module that `begin` builds. Made cheaply: nothing is allocated before."""

    def __init__(self, spec: Spec) -> None:
        import torch

        self.spec = spec
        self.dtype: Any = getattr(torch, spec.scheme.options["dtype"])
        torch.set_num_threads(spec.threads)
        # The threads exist before memory is limited: without their stacks OpenMP ends the process.
        torch.ones(256, 256) @ torch.ones(256, 256)
        self._release()

    def _release(self) -> None:
        self._module: Any = None
        self._batch: Batch | None = None
        self._loss: Any = None
        self._optimizer: Any = None

    def limit_memory(self, limit: int) -> None:
        """At most `limit` bytes from now on: of the process on the CPU, else of the device's allocator."""
        import torch

        if self.spec.device == "cuda":
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
        elif self.spec.device == "mps":
            torch.mps.set_per_process_memory_fraction(min(2.0, limit / torch.mps.recommended_max_memory()))
        else:
            limit_process_memory(limit)

    def begin(self, setting: Setting) -> None:
        """Build the module and a batch of random tokens. Raises DataError for a context beyond the model's."""
        self._setting = setting
        self._guarded(self._build)

    def _build(self) -> None:
        import torch

        module = self.spec.model.build().train()
        self._batch = batch_of(self.spec.model, module, self._setting.batch, self._setting.context)
        self._batch = self._batch.to(self.spec.device)
        self._module = module.to(self.spec.device).requires_grad_(True)
        if self.spec.compiled:
            torch._dynamo.utils.clear_compilation_metrics()
            compile_functions(self._module)

    def run(self, *parts: str) -> None:
        """See TrainingSession.run."""
        steps = {"clear": self._clear, "forward": self._forward, "backward": self._backward, "update": self._update}
        for part in parts:
            self._guarded(steps[part])
        synchronize = devices[self.spec.device].synchronize
        if synchronize is not None:
            synchronize()

    def _guarded(self, part: Callable[[], None]) -> None:
        """Run it; where memory ends, let go of everything and say so."""
        try:
            return part()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).strip().partition("\n")[0]
        # Outside the handler: the traceback, whose frames hold the pass's tensors, is gone.
        self.close()
        raise MemoryError(reason)

    def _clear(self) -> None:
        self._loss = None
        for parameter in self._module.parameters():
            parameter.grad = None

    def _forward(self) -> None:
        with self._autocast(), _attention(self._setting.attention):
            self._loss = self._batch.loss(self._module)  # type: ignore[union-attr]

    def _backward(self) -> None:
        self._loss.backward()
        self._loss = self._loss.detach()

    def _update(self) -> None:
        import torch

        if self._optimizer is None:
            self._optimizer = torch.optim.AdamW(self._module.parameters())
        self._optimizer.step()

    def _autocast(self) -> Any:
        import torch

        return torch.autocast(self.spec.device, self.dtype, enabled=self.dtype is not torch.float32)

    def loss(self) -> float:
        return float(self._loss)

    def flops(self) -> Flops:
        """On tensors without memory ("meta"), so that it costs no step. Attention is counted whole, its masked half
        too: the convention of model FLOPs (Chowdhery et al. 2022, appendix B). Its "math" kernel stands for all: for
        the CPU's fused one torch's counter has no formula, and would leave attention out."""
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode
        from torch.utils.flop_counter import FlopCounterMode

        # Fake ones, because models ask whether they are being traced before they look at a value.
        fake = FakeTensorMode()
        module, batch = _OnMeta(self._module, fake), self._batch.to("meta").map(fake.from_tensor)  # type: ignore[union-attr]
        counter = FlopCounterMode(display=False)
        with torch.compiler.set_stance("force_eager"), _attention("math"), fake, counter:
            loss = batch.loss(module)
            forward = counter.get_total_flops()
            loss.backward()
            return Flops(forward, counter.get_total_flops())

    def memory_by_part(self) -> Mapping[str, Any]:
        """One more step of what ran so far, with the update where there was one."""
        from benchgate.runtimes.torch.memory_profile import memory_by_part

        if self.spec.compiled:
            raise Unavailable("torch's memory profiler sees no parts inside a compiled graph")
        if self.spec.device == "mps":
            raise Unavailable("torch's memory profiler does not follow Apple GPUs")
        self.run("clear")
        parts = ("forward", "backward") if self._optimizer is None else ("forward", "backward", "update")
        return memory_by_part(lambda: self.run(*parts), self.spec.device)

    def describe(self) -> dict[str, Any]:
        """The things that really run: dtypes, attention, optimizer, and what torch.compile made of it."""
        kernel = {
            "threads": self.spec.threads,
            "compiled": self.spec.compiled,
            "computes_in": str(self.dtype).removeprefix("torch."),
            "attention": self._setting.attention,
            **describe(self._module),
        }
        if self._optimizer is not None:
            kernel["optimizer"] = type(self._optimizer).__name__
        return {**kernel, **compile_facts()} if self.spec.compiled else kernel

    def close(self) -> None:
        """Free model, gradients and optimizer, and give the device's cache back to it."""
        import torch

        self._release()
        if self.spec.compiled:
            torch._dynamo.reset()
        if self.spec.device != "cpu":
            getattr(torch, self.spec.device).empty_cache()


class _OnMeta:
    """A module that is called with its weights' shapes and without their memory."""

    def __init__(self, module: Any, fake: Any) -> None:
        import torch

        self._module = module
        tensors = [*module.named_parameters(), *module.named_buffers()]
        self._weights = {
            name: fake.from_tensor(torch.empty_like(tensor, device="meta", requires_grad=tensor.requires_grad))
            for name, tensor in tensors
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        from torch.func import functional_call

        return functional_call(self._module, self._weights, args, options)


@contextlib.contextmanager
def _attention(kernel: str) -> Iterator[None]:
    """Let scaled_dot_product_attention take only this kernel. Raises Unavailable where it cannot."""
    if kernel == "default":
        yield
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel

    try:
        with sdpa_kernel(getattr(SDPBackend, BACKENDS[kernel])):
            yield
    except RuntimeError as error:
        if not any(phrase in str(error) for phrase in NO_KERNEL):
            raise
        raise Unavailable(f"attention={kernel}: torch has no such kernel for this device, dtype or shape") from error


@functools.cache
def matmul_peak(device: str, dtype: str, threads: int) -> float:
    """FLOP/s of the best of MATMUL_SIDES' square products, each the fastest of some repeats. Cached per process."""
    import torch

    torch.set_num_threads(threads)
    synchronize = devices[device].synchronize or (lambda: None)
    best = 0.0
    for side in MATMUL_SIDES[device]:
        left, right = (torch.ones(side, side, dtype=getattr(torch, dtype), device=device) for _ in range(2))
        for _ in range(MATMUL_REPEATS):
            start = time.perf_counter()
            left @ right
            synchronize()
            best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


def compile_facts() -> dict[str, Any]:
    """The work of torch.compile since its counters were cleared: graphs, breaks with reasons, recompiles, seconds."""
    from torch._dynamo.utils import counters, get_compilation_metrics

    compilations = get_compilation_metrics()
    return {
        "graphs": counters["stats"]["unique_graphs"],
        "graph_breaks": sum(counters["graph_break"].values()),
        "graph_break_reasons": [str(reason).partition("\n")[0] for reason in counters["graph_break"]],
        "recompiles": sum(c.recompile_reason is not None for c in compilations),
        "compile_s": round(sum(c.entire_frame_compile_time_s or 0.0 for c in compilations), 3),
        # A hit means that inductor took the code from its cache on disk: first_call_s is then no compile time.
        "inductor_cache_hits": counters["inductor"]["fxgraph_cache_hit"],
        "inductor_cache_misses": counters["inductor"]["fxgraph_cache_miss"],
    }
