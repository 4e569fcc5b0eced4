"""Causal language models to measure: from a GGUF asset, the hub or a local folder, through transformers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.machine.packages import versions
from benchgate.storage.artifacts import build_or_reuse
from benchgate.storage.assets import Asset, fetch
from benchgate.storage.download import FetchError

TASK = "causal-lm"


@dataclass(frozen=True)
class GGUFModel:
    """A model whose weights come as one GGUF file and are dequantised to fp32, once, into the cache.

    Its "fp32" is the file's weights in fp32: what the file's own quantization lost stays lost. Say so in reports.
    """

    name: str
    version: str
    asset: Asset
    task: str = TASK

    def folder(self) -> Path:
        """The dequantised model as a transformers folder."""
        key = {"gguf": self.asset.sha256, "packages": versions(["transformers", "gguf"])}
        return build_or_reuse(f"{self.name}-dequantised", key, self._dequantise)

    def _dequantise(self, out: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = fetch(self.asset)
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
            module = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
            if hasattr(module.config, "quantization_config"):
                # transformers 5 refuses to save a model that it believes still to be GGUF-quantized
                module.hf_quantizer = None
                del module.config.quantization_config
            module.save_pretrained(out)
            tokenizer.save_pretrained(out)

    def build(self) -> Any:
        return _module(self.folder())

    def structure(self) -> Any:
        return _structure(self.folder())

    def tokenizer(self) -> Any:
        return _tokenizer(self.folder())


@dataclass(frozen=True)
class HubModel:
    """Any causal LM by hub id (`org/name`) or local folder, at a pinned revision.

    The default revision is whatever the hub's main branch is at the first download: pin it for figures that last.
    """

    name: str
    source: str
    revision: str = "main"
    task: str = TASK

    @property
    def version(self) -> str:
        return self.revision

    def folder(self) -> Path:
        """The local folder, downloaded by huggingface_hub (resumed, hashed) where the source is an id."""
        return snapshot(self.source, self.revision)

    def build(self) -> Any:
        return _module(self.folder())

    def structure(self) -> Any:
        return _structure(self.folder())

    def tokenizer(self) -> Any:
        return _tokenizer(self.folder())


def from_name(name: str) -> HubModel | None:
    """A model for a name that is not registered but says where it is: `org/name`, `org/name@revision` or a folder."""
    if Path(name).is_dir():
        return HubModel(Path(name).name, str(Path(name).resolve()), "local")
    source, _, revision = name.partition("@")
    if source.count("/") != 1 or not all(source.split("/")):
        return None
    return HubModel(name, source, revision or "main")


@functools.cache
def snapshot(source: str, revision: str) -> Path:
    folder = Path(source)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise DataError(f"{folder}: has no config.json; give a folder that transformers' save_pretrained wrote")
        return folder
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    wanted = ["*.json", "*.safetensors", "tokenizer*", "*.model", "*.txt", "*.jinja"]
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=wanted))
    except (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        HFValidationError,
        httpx2.HTTPError,
    ) as error:
        raise FetchError(
            f"cannot fetch {source}@{revision} from the hub ({type(error).__name__}). With a network: try again, and "
            f"`hf auth login` for gated models. Without: copy the model's folder here and name the folder instead"
        ) from error


def _module(folder: Path) -> Any:
    """The fp32 module. `use_safetensors`: a pickled checkpoint could run code."""
    from transformers import AutoModelForCausalLM

    with quiet():
        # The argument for the type has another name in transformers 4.
        return AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).float()


def _structure(folder: Path) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


@functools.cache
def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No weight-loading bars of transformers in the middle of a test's output."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
