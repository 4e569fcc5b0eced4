"""GPTQ through GPTQModel (https://github.com/ModelCloud/GPTQModel), the maintained successor of AutoGPTQ."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Scheme
from benchgate.download import progress


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
        offload_to_disk=False,
    )
    source, out = source.resolve(), out.resolve()
    # GPTQModel writes a folder `logs` where the process stands; `source` goes when the work is done.
    with contextlib.chdir(source), _quiet():
        model = gptqmodel.GPTQModel.load(str(source), config, device="cpu", dtype=torch.float32)
        _check_groups(model.model, options["group_size"], f"{name} as {scheme.name}")
        examples = [{"input_ids": [list(b)], "attention_mask": [[1] * len(b)]} for b in blocks]
        layers = model.model.config.get_text_config().num_hidden_layers
        with progress(f"{name} as {scheme.name}: layers quantized", layers) as advance:
            model.layer_callback = _once_a_layer(advance)
            model.quantize(examples, batch_size=1)
        model.save(str(out))
    _shrink(out)


def _once_a_layer(advance: Callable[[int], None]) -> Callable[..., None]:
    seen: set[int] = set()

    def layer_complete(layer_idx: int, submodule_finalized: bool) -> None:
        if layer_idx not in seen:
            seen.add(layer_idx)
            advance(1)

    return layer_complete


def _check_groups(module: Any, group_size: int, what: str) -> None:
    import torch

    head = module.get_output_embeddings()
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.Linear) and layer is not head and layer.in_features % group_size:
            fitting = [size for size in (128, 64, 32, 16) if layer.in_features % size == 0]
            raise DataError(
                f"{what}: group_size {group_size} does not divide the {layer.in_features} inputs of {name}; "
                + (f"it could be {', '.join(map(str, fitting))}" if fitting else "no usual group size does")
            )


def _shrink(out: Path) -> None:
    """Store what is left in float32 as float16, a shard at a time. Raises DataError where a weight does not fit."""
    import torch
    from safetensors.torch import load_file, save_file

    for path in sorted(out.glob("*.safetensors")):
        tensors = load_file(path)
        for name, tensor in tensors.items():
            if tensor.dtype == torch.float32:
                tensors[name] = tensor.half()
                if not torch.isfinite(tensors[name]).all():
                    raise DataError(f"{name}: weights up to {tensor.abs().max():.3g} do not fit float16")
        save_file(tensors, path, metadata={"format": "pt"})


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
    import torch

    module = load(path, "GPTQ_TORCH", "float16")
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer).__name__ == "TorchLinear":
                setattr(parent, name, _plain(layer))
    return module.to(torch.float32)


def _plain(layer: Any) -> Any:
    import torch

    layer.scales = layer.scales.float()
    weight = layer.dequantize_weight().float().T.contiguous()
    plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=layer.bias is not None, device="meta")
    plain.weight = torch.nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        plain.bias = torch.nn.Parameter(layer.bias.float(), requires_grad=False)
    return plain


def write_source(module: Any, tokenizer: Any, folder: Path) -> None:
    """What GPTQModel reads its input from: a transformers folder."""
    folder.mkdir()
    with _quiet():
        module.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def remove(folder: Path) -> None:
    shutil.rmtree(folder)
