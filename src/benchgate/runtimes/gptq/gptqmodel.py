"""GPTQ through GPTQModel (https://github.com/ModelCloud/GPTQModel), the maintained successor of AutoGPTQ."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchgate.core import Scheme
from benchgate.runtimes.gptq.files import check_groups, plain_linear, replace_layers, shrink
from benchgate.storage.download import progress


def _gptqmodel() -> Any:
    """The package, with the one setting that it needs before its import."""
    # Its thread pools take one worker a core and then ask for two on one core: the model loader dies with
    # "requests 2 workers but parent 'cpu' only has 1".
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    with contextlib.redirect_stdout(io.StringIO()):
        import gptqmodel

    return gptqmodel


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the hundreds of log lines and bars of GPTQModel and transformers; errors still show."""
    from logbar import LogBar
    from transformers.utils import logging as bars

    logger, disabled, had_bars = LogBar.shared(), logging.root.manager.disable, bars.is_progress_bar_enabled()
    level = logger.level
    logger.setLevel(LogBar.ERROR)
    logging.disable(logging.WARNING)
    bars.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
        logging.disable(disabled)
        if had_bars:
            bars.enable_progress_bar()


@contextlib.contextmanager
def _workers_raise() -> Iterator[None]:
    """GPTQModel 7.6.0 ends the whole process when one of its workers fails, be it for lack of memory. The task's future
    has the error by then, and raises it where the result is waited for."""
    from gptqmodel.utils.threadx import _DeviceWorker

    abort = _DeviceWorker._abort_process
    _DeviceWorker._abort_process = lambda self, error: None
    try:
        yield
    finally:
        _DeviceWorker._abort_process = abort


def quantize(source: Path, scheme: Scheme, blocks: Sequence[Sequence[int]], out: Path, name: str) -> None:
    """Quantize the transformers folder `source` on the CPU, layer by layer, into `out`.

    `blocks` are calibration token ids. Weights that stay unquantized (embeddings, norms, head) become float16, as is
    usual for this format. Raises DataError for a group size that does not divide a layer.
    """
    gptqmodel = _gptqmodel()
    import torch

    options = scheme.options
    config = gptqmodel.QuantizeConfig(
        bits=int(scheme.bits),
        group_size=options["group_size"],
        desc_act=options["desc_act"],
        sym=options["sym"],
        damp_percent=options["damp_percent"],
        offload_to_disk=False,
    )
    source, out = source.resolve(), out.resolve()
    # GPTQModel writes a folder `logs` where the process stands; `source` goes when the work is done.
    with contextlib.chdir(source), _quiet(), _workers_raise():
        model = gptqmodel.GPTQModel.load(str(source), config, device="cpu", dtype=torch.float32)
        check_groups(model.model, options["group_size"], f"{name} as {scheme.name}")
        examples = [{"input_ids": [list(b)], "attention_mask": [[1] * len(b)]} for b in blocks]
        layers = model.model.config.get_text_config().num_hidden_layers
        with progress(f"{name} as {scheme.name}: layers quantized", layers) as advance:
            model.layer_callback = _once_a_layer(advance)
            model.quantize(examples, batch_size=1)
        model.save(str(out))
    shrink(out)


def _once_a_layer(advance: Callable[[int], None]) -> Callable[..., None]:
    seen: set[int] = set()

    def layer_complete(layer_idx: int, submodule_finalized: bool) -> None:
        if layer_idx not in seen:
            seen.add(layer_idx)
            advance(1)

    return layer_complete


def load(path: Path, backend: str, dtype: str = "auto") -> Any:
    """The module of a quantized folder with the kernels of `backend` (a name of gptqmodel.BACKEND), eager."""
    gptqmodel = _gptqmodel()
    import torch

    with _quiet():
        loaded = gptqmodel.GPTQModel.load(
            str(path),
            device="cpu",
            backend=gptqmodel.BACKEND[backend],
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
        )
    module = loaded.model.eval().requires_grad_(False)
    for layer in quantized_layers(module):
        # torch.compile of its dequantisation takes half a minute a shape and then hits its recompile limit.
        layer.__dict__.pop("dequantize_weight", None)
    return module


def quantized_layers(module: Any) -> list[Any]:
    """GPTQModel's linear layers in `module`."""
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear

    return [layer for layer in module.modules() if isinstance(layer, BaseQuantLinear)]


def dequantised(path: Path) -> Any:
    """The same model in plain float32 linear layers: the file's weights, dequantised once."""
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear

    return replace_layers(load(path, "GPTQ_TORCH", "float16"), TorchLinear, _plain)


def _plain(layer: Any) -> Any:
    layer.scales = layer.scales.float()
    return plain_linear(layer.dequantize_weight().float().T.contiguous(), layer.bias)
