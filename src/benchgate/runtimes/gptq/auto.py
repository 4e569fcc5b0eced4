"""GPTQ through auto-gptq 0.7.1 (https://github.com/AutoGPTQ/AutoGPTQ, archived in 2025), whose file format it is.

Its quantizing demands CUDA and moves every layer there. Nothing in the arithmetic does: here it is told that there is
CUDA while it looks, and that the CPU is the device.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Scheme, Unavailable
from benchgate.runtimes.gptq.files import check_groups, plain_linear, replace_layers, shrink
from benchgate.storage.download import progress


def _auto_gptq() -> Any:
    """The package, without its complaints about CUDA kernels that a CPU has no use for."""
    with _quiet():
        import auto_gptq

    return auto_gptq


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without its lines for every layer and kernel; errors still show."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def _initialisers_kept() -> Iterator[None]:
    """Loading takes initialisation out of torch and transformers for good: models made afterwards would have none."""
    from torch.nn import init
    from transformers import modeling_utils

    kept = {name: getattr(init, name) for name in ("kaiming_uniform_", "uniform_", "normal_")}
    with _replaced(init, **kept), _replaced(modeling_utils, _init_weights=modeling_utils._init_weights):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, **values: Any) -> Iterator[None]:
    """Attributes of `owner` as given, and afterwards as they were."""
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def quantize(source: Path, scheme: Scheme, blocks: Sequence[Sequence[int]], out: Path, name: str) -> None:
    """Quantize the transformers folder `source` on the CPU, layer by layer, into `out`; as gptq_model.quantize.

    Raises DataError for a group size that does not divide a layer or an architecture that auto-gptq does not know,
    Unavailable for options that only GPTQModel has.
    """
    what, options = f"{name} as {scheme.name}", scheme.options
    _check_options(scheme)
    auto_gptq = _auto_gptq()
    import torch

    config = auto_gptq.BaseQuantizeConfig(
        bits=int(scheme.bits),
        group_size=options["group_size"],
        desc_act=options["desc_act"],
        sym=options["sym"],
        damp_percent=options["damp_percent"],
    )
    with _quiet(), _initialisers_kept(), _replaced(torch.cuda, is_available=lambda: True):
        try:
            model = auto_gptq.AutoGPTQForCausalLM.from_pretrained(str(source), config, torch_dtype=torch.float32)
        except TypeError as error:
            # Its word for an architecture that is not in its table.
            raise DataError(f"{what}: auto-gptq: {error}; pip install gptqmodel knows more") from error
    check_groups(model.model, options["group_size"], what)
    examples = [{"input_ids": torch.tensor([b]), "attention_mask": torch.ones(1, len(b)).long()} for b in blocks]
    layers = model.model.config.num_hidden_layers
    with progress(f"{what}: layers quantized", layers) as advance, _on_the_cpu(), _layers_counted(advance):
        model.quantize(examples, batch_size=1)
    with _quiet():
        model.save_quantized(str(out))
    # A tied head stays in the file a second time: without it, loading ties the embedding to memory that nobody wrote.
    shrink(out)


def _check_options(scheme: Scheme) -> None:
    backend = scheme.options["backend"]
    if backend != "AUTO":
        raise Unavailable(
            f"scheme {scheme.name}: backend {backend} is a kernel of GPTQModel's, auto-gptq has none to choose from "
            "here; pip install 'benchgate[gptq]' in an environment of its own"
        )


@contextlib.contextmanager
def _on_the_cpu() -> Iterator[None]:
    import torch
    from auto_gptq.modeling import _base

    with _replaced(_base, CUDA_0=torch.device("cpu")), _replaced(torch.cuda, synchronize=lambda *_: None):
        yield


@contextlib.contextmanager
def _layers_counted(advance: Callable[[int], None]) -> Iterator[None]:
    """`advance(1)` at each layer; the library has no callback but a line in its log when it starts one."""

    class Counter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("Start quantizing layer"):
                advance(1)

    with contextlib.ExitStack() as stack:
        for name in ("modeling._base", "modeling._utils", "quantization.gptq"):
            logger = logging.getLogger(f"auto_gptq.{name}")
            stack.enter_context(_replaced(logger, handlers=[Counter()], propagate=False))
        yield


def load(path: Path, backend: str) -> Any:
    """The module of a quantized folder, in float32: its kernels for the CPU have nothing narrower."""
    import torch

    with _quiet(), _initialisers_kept():
        loaded = _auto_gptq().AutoGPTQForCausalLM.from_quantized(str(path), device="cpu", torch_dtype=torch.float32)
    return loaded.model.eval().requires_grad_(False)


def quantized_layers(module: Any) -> list[Any]:
    """auto-gptq's linear layers in `module`."""
    return [layer for layer in module.modules() if hasattr(layer, "QUANT_TYPE")]


def dequantised(path: Path) -> Any:
    """The same model in plain float32 linear layers: the file's weights, dequantised once."""
    module = load(path, "AUTO")
    layers = quantized_layers(module)
    return replace_layers(module, type(layers[0]), _plain) if layers else module


def _plain(layer: Any) -> Any:
    """Return the kernel's weights: its products with the unit vectors, exact to the last bit (times 1, plus 0)."""
    import torch

    bias, layer.bias = layer.bias, None
    with torch.inference_mode():
        weight = layer(torch.eye(layer.infeatures)).T.contiguous()
    return plain_linear(weight.clone(), bias)
