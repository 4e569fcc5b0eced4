"""Causal language models to measure: from a GGUF asset, the hub or a local folder, through transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.machine.packages import versions
from benchgate.storage.artifacts import build_or_reuse
from benchgate.storage.assets import Asset, fetch
from benchgate.storage.sources import sources
from benchgate.tasks.file_models import FolderModel, HubFolder, quiet

TASK = "causal-lm"


class CausalLMFolder(FolderModel):
    """A FolderModel that transformers reads as a causal language model."""

    def _load(self, folder: Path) -> Any:
        from transformers import AutoModelForCausalLM

        # `use_safetensors`: a pickled checkpoint could run code. The argument for the type has another name in
        # transformers 4.
        return AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).float()

    def _empty(self, folder: Path) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM

        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


@dataclass(frozen=True)
class GGUFModel(CausalLMFolder):
    """A model whose weights come as one GGUF file and are dequantised to fp32, once, into the cache.

    Its "fp32" is the file's weights in fp32: what the file's own quantization lost stays lost. Say so in reports.
    """

    name: str
    version: str
    asset: Asset
    task: str = TASK

    def folder(self) -> Path:
        """The dequantised model as a transformers folder."""
        key = {
            "gguf": self.asset.sha256,
            "packages": versions(["transformers", "gguf"]),
            "source": sources([__name__])[__name__],
        }
        return build_or_reuse(f"{self.name}-dequantised", key, self._dequantise)

    def content(self) -> Mapping[str, str]:
        """The digest of the GGUF file, which is checked whenever it is fetched."""
        return {"gguf": self.asset.sha256}

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


@dataclass(frozen=True)
class HubModel(CausalLMFolder, HubFolder):
    """Any causal LM by hub id (`org/name`) or local folder, at a pinned revision; see HubFolder."""

    name: str
    source: str
    revision: str = "main"
    task: str = TASK


def from_name(name: str) -> HubModel | None:
    """A model for a name that is not registered but says where it is: `org/name`, `org/name@revision` or a folder."""
    if Path(name).is_dir():
        return HubModel(Path(name).name, str(Path(name).resolve()), "local")
    source, _, revision = name.partition("@")
    if source.count("/") != 1 or not all(source.split("/")):
        return None
    return HubModel(name, source, revision or "main")
