"""Models that are files: one of a runtime's own format, or a folder as transformers saves it: downloaded, local, or
made from one file.

What decides them is the contents of that file or folder, whatever it is called and whatever revision was asked for.
"""

from __future__ import annotations

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchgate.core import DataError
from benchgate.storage.digests import tree_digest
from benchgate.storage.download import FetchError

# What is fetched of a hub repository: no pickled checkpoint, which could run code.
WANTED = ("*.json", "*.safetensors", "tokenizer*", "*.model", "*.txt", "*.jinja")


@dataclass(frozen=True)
class FileModel:
    """A model that is one file, which runtimes of its format take as it is; a subclass names the `suffix`.

    Args:
        path: Of the file; a relative one is of the current folder: better `Path(__file__).parent / ...`.
        task: The name of the task that it is for.
        name: As in `@pytest.mark.cells(model=...)`; the file's name without suffix where left out.
        version: Kept with every result; another one makes cells "new", a changed file is compared with what it was.
        calibration: Returns inputs, one call's at a time, for full-integer schemes; refused without.

    Raises:
        DataError: For another suffix at once; for a file that is not there when it is built.

    Example::

        benchgate.model(OnnxFile(Path(__file__).parent / "net.onnx", task="pictures"))
    """

    path: str | Path
    task: str
    name: str = ""
    version: str = "1"
    calibration: Callable[[], Iterable[Any]] | None = None
    suffix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        path = Path(self.path).absolute()
        if path.suffix != self.suffix:
            raise DataError(
                f"{self.path}: {type(self).__name__} takes {self.suffix} files; choose the class of its format"
            )
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "name", self.name or path.stem)

    def content(self) -> Mapping[str, str]:
        """The digest of the file, for the identity of its artifacts. Raises DataError where it cannot be read."""
        return {"file": tree_digest(Path(self.path))}


class OnnxFile(FileModel):
    """A FileModel for onnxruntime, and for litert, which converts it."""

    suffix = ".onnx"


class TFLiteFile(FileModel):
    """A FileModel for litert."""

    suffix = ".tflite"


class FolderModel(ABC):
    """A model of a transformers folder. A subclass says where the folder is and what module it holds."""

    @abstractmethod
    def folder(self) -> Path:
        """Return the local folder, fetched or made where it is not there yet. Raises FetchError, DataError."""

    def build(self) -> Any:
        """The full-precision module with its weights."""
        with quiet():
            return self._load(self.folder())

    def structure(self) -> Any:
        """The module with weights that mean nothing, for a runtime that puts in others."""
        return self._empty(self.folder())

    def tokenizer(self) -> Any:
        return load_tokenizer(self.folder())

    def content(self) -> Mapping[str, str]:
        """The digest of what decides the model, for the identity of its artifacts."""
        return {"folder": tree_digest(self.folder())}

    @abstractmethod
    def _load(self, folder: Path) -> Any:
        """Return the module with the weights that are in the folder."""

    @abstractmethod
    def _empty(self, folder: Path) -> Any:
        """Return the module as the folder's configuration has it, with weights that mean nothing."""


class HubFolder(FolderModel):
    """A FolderModel by hub id (`org/name`) or local folder, at a pinned revision: the fields `source`, `revision`.

    The default revision is whatever the hub's main branch is at the first download: pin it for figures that last.
    """

    source: str
    revision: str

    @property
    def version(self) -> str:
        return self.revision

    def folder(self) -> Path:
        """The local folder, downloaded by huggingface_hub (resumed, hashed) where the source is an id."""
        return snapshot(self.source, self.revision)


@functools.cache
def snapshot(source: str, revision: str) -> Path:
    """The folder of a hub repository at a revision, or the local folder that `source` names."""
    folder = Path(source)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise DataError(f"{folder}: has no config.json; give a folder that transformers' save_pretrained wrote")
        return folder
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    unreachable = (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, HFValidationError, httpx2.HTTPError)
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=list(WANTED)))
    except unreachable as error:
        raise FetchError(
            f"cannot fetch {source}@{revision} from the hub ({type(error).__name__}). With a network: try again, and "
            f"`hf auth login` for gated models. Without: copy the model's folder here and name the folder instead"
        ) from error


@functools.cache
def load_tokenizer(folder: Path) -> Any:
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
