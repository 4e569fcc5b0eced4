"""Causal language models to measure: from a GGUF asset, the hub or a local folder, through transformers."""

from __future__ import annotations

import contextlib
import functools
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.machine.packages import versions
from benchgate.storage.artifacts import build_or_reuse
from benchgate.storage.assets import Asset, fetch
from benchgate.storage.digests import tree_digest
from benchgate.storage.sources import sources
from benchgate.tasks.file_models import FolderModel, HubFolder, quiet

TASK = "causal-lm"


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Let transformers read a GGUF file once, and not for the tokenizer, the configuration and the weights each.

    Nor does it make the table of the tensors' names anew for each module: together that is half the time of loading.
    """
    import gguf

    names = ("GGUFReader", "get_tensor_name_map")
    own = {name: getattr(gguf, name) for name in names}
    for name in names:
        setattr(gguf, name, functools.cache(own[name]))
    try:
        yield
    finally:
        for name in names:
            setattr(gguf, name, own[name])


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


class Dequantised(CausalLMFolder):
    """A causal language model of one GGUF file, whose weights are dequantised to fp32, once, into the cache.

    Its "fp32" is the file's weights in fp32: what the file's own quantization lost stays lost. Say so in reports.
    """

    name: str

    @abstractmethod
    def file(self) -> Path:
        """Return the GGUF file, fetched where it is not there yet."""

    @abstractmethod
    def sha256(self) -> str:
        """Return the digest of that file."""

    def folder(self) -> Path:
        """The dequantised model as a transformers folder."""
        key = {
            "gguf": self.sha256(),
            "packages": versions(["transformers", "gguf"]),
            "source": sources([__name__])[__name__],
        }
        return build_or_reuse(f"{self.name}-dequantised", key, self._dequantise)

    def content(self) -> Mapping[str, str]:
        """The digest of the GGUF file."""
        return {"gguf": self.sha256()}

    def _dequantise(self, out: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = self.file()
        with quiet(), read_once():
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
            module = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
            if hasattr(module.config, "quantization_config"):
                # transformers 5 refuses to save a model that it believes still to be GGUF-quantized
                module.hf_quantizer = None
                del module.config.quantization_config
            module.save_pretrained(out)
            tokenizer.save_pretrained(out)


@dataclass(frozen=True)
class GGUFModel(Dequantised):
    """A Dequantised model whose file is an asset: fetched, and its hash checked, whenever it is needed."""

    name: str
    version: str
    asset: Asset
    task: str = TASK

    def file(self) -> Path:
        return fetch(self.asset)

    def sha256(self) -> str:
        return self.asset.sha256


@dataclass(frozen=True)
class GGUFFile(Dequantised):
    """A Dequantised model of a local GGUF file, for every runtime of causal language models; ggml quantizes it anew.

    Args:
        path: Of the file; a relative one is of the folder that pytest was called in.
        name: As in `@pytest.mark.cells(model=...)`; the file's name without suffix where left out.
        version: Kept with every result; another one makes cells "new".

    Raises:
        DataError: For another suffix at once; for a file that is not there when it is built.

    Example::

        benchgate.model(benchgate.GGUFFile("/models/SmolLM2-135M-Instruct.Q8_0.gguf", name="smollm2"))
    """

    path: str | Path
    name: str = ""
    version: str = "1"
    task: str = TASK

    def __post_init__(self) -> None:
        path = Path(self.path).absolute()
        if path.suffix != ".gguf":
            raise DataError(f"{self.path}: GGUFFile takes .gguf files; choose the class of its format")
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "name", self.name or path.stem)

    def file(self) -> Path:
        return Path(self.path)

    def sha256(self) -> str:
        return tree_digest(self.file())


@dataclass(frozen=True)
class HubModel(CausalLMFolder, HubFolder):
    """Any causal LM by hub id (`org/name`) or local folder, at a pinned revision; see HubFolder.

    Args:
        name: As in `@pytest.mark.cells(model=...)`.
        source: `org/name` on the hub, or a folder that `save_pretrained` wrote.
        revision: A commit, for figures that last; it is the model's version.

    Raises:
        FetchError, DataError: When it is built: a hub that does not answer, a folder without config.json.

    Example::

        benchgate.model(benchgate.HubModel("smollm2", "HuggingFaceTB/SmolLM2-135M", revision="93efa2f"))
    """

    name: str
    source: str
    revision: str = "main"
    task: str = TASK


def from_name(name: str) -> HubModel | None:
    """A model for a name that is not registered but says where it is: `org/name`, `org/name@revision` or a folder."""
    if Path(name).is_dir():
        return HubModel(Path(name).name, str(Path(name).resolve()), "local")
    source, _, revision = name.partition("@")
    # "./name" is a folder that is not there: no organisation begins so.
    if source.count("/") != 1 or not all(source.split("/")) or source.startswith("."):
        return None
    return HubModel(name, source, revision or "main")
