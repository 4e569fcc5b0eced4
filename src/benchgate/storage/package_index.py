"""Find a file in the user's package index and read one member of it, without installing or running any of it.

pip itself would run an sdist's build to learn its name; so the index is asked through `unearth` (PDM's package finder,
the maintained stand-alone implementation of the simple repository API) with the settings of the user's own pip.
"""

from __future__ import annotations

import ast
import errno
import gzip
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from benchgate.core import BenchgateError
from benchgate.storage.download import FetchError, http_client

# No sdist unpacks to more; a gzip bomb of 1 MB would to a gigabyte.
MAX_UNPACKED = 1 << 31
MAX_PIECE = 1 << 24


@dataclass(frozen=True)
class IndexSettings:
    """The parts of a pip configuration that say where packages come from."""

    index_url: str
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    client: dict[str, Any] = field(default_factory=dict)


def pip_settings() -> IndexSettings:
    """The user's pip configuration (files and environment). Raises FetchError where pip is missing."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False, timeout=60
    )
    if asked.returncode != 0:
        raise FetchError(
            f"pip does not run here ({asked.stderr.strip().splitlines()[-1:]}), and its settings say where packages "
            "come from; python -m ensurepip"
        )
    return parse_settings(asked.stdout, _default_index())


def _default_index() -> str:
    """The index that pip uses where none is set; only pip knows it."""
    from pip._internal.models.index import PyPI

    return PyPI.simple_url


def parse_settings(listing: str, default_index: str) -> IndexSettings:
    """`pip config list` output as settings: the environment over `download` over `global`, lists added up."""
    values: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        name, separator, value = line.partition("=")
        section, _, key = name.strip().rpartition(".")
        if separator:
            values.setdefault(key, {})[section] = _unquoted(value)

    def one(key: str) -> str | None:
        found = values.get(key, {})
        return next((found[s] for s in (":env:", "download", "global") if s in found), None)

    def all_of(key: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for text in values.get(key, {}).values() for word in text.split()))

    options = {k: v for k, v in {"verify": one("cert"), "cert": one("client-cert"), "proxy": one("proxy")}.items() if v}
    return IndexSettings(
        index_url=one("index-url") or default_index,
        extra_index_urls=all_of("extra-index-url"),
        find_links=all_of("find-links"),
        trusted_hosts=all_of("trusted-host"),
        no_index=(one("no-index") or "").lower() in ("1", "true", "yes"),
        client=options,
    )


def _unquoted(value: str) -> str:
    """pip lists its values as Python strings; those of several lines have their line ends escaped."""
    try:
        return " ".join(str(ast.literal_eval(value)).split())
    except (ValueError, SyntaxError):
        return " ".join(value.split())


def find(project: str, version: str, sdist: bool, settings: IndexSettings) -> tuple[str, str | None, Any]:
    """(url, sha256 where the index tells it, HTTP client) of the wheel or sdist. Raises FetchError when not found."""
    client: Any = http_client(trusted_hosts=settings.trusted_hosts, **settings.client)
    import httpx2
    from unearth import PackageFinder
    from unearth.errors import UnpackError

    finder = PackageFinder(
        client,
        index_urls=[] if settings.no_index else [settings.index_url, *settings.extra_index_urls],
        find_links=settings.find_links,
        ignore_compatibility=True,
    )
    try:
        matches = finder.find_matches(f"{project}=={version}", allow_yanked=True)
    except (httpx2.HTTPError, UnpackError) as error:
        raise FetchError(f"package index not reached for {project}=={version}: {error}") from error
    links = [m.link for m in matches if m.link.is_wheel != sdist]
    if not links:
        raise FetchError(
            f"no {'sdist' if sdist else 'wheel'} of {project}=={version} in the package index "
            f"({settings.index_url if not settings.no_index else 'find-links only'}): offline, or not mirrored there"
        )
    # `hash_option` has the hash of a JSON page and of an HTML page's fragment alike.
    sha256 = (links[0].hash_option or {}).get("sha256", [None])[0]
    return links[0].normalized, sha256, client


@contextmanager
def open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Read one file of a wheel (zip) or sdist (tar.gz) as a stream. Raises FetchError when it is not in there.

    Links inside an archive are not followed, encrypted files not asked for a password, and of a compressed tar no more
    than MAX_UNPACKED bytes are unpacked on the way to the file.
    """
    try:
        with _zip_member(archive, member) if zipfile.is_zipfile(archive) else _tar_member(archive, member) as stream:
            yield stream
    except (BenchgateError, MemoryError):
        raise
    except KeyError as error:
        raise FetchError(f"{archive.name} has no file {member!r}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            # Of the disk, not of what was read: a broken archive makes zipfile seek to where nothing can be.
            raise
        # zipfile, tarfile and what unpacks for them raise a dozen kinds: RuntimeError for a password, ValueError, ...
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise FetchError(f"{archive.name} is not a readable archive ({reason}); try again") from error


@contextmanager
def _zip_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(archive) as zipped, zipped.open(member) as stream:
        yield stream


@contextmanager
def _tar_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with gzip.open(archive) as unpacked, tarfile.open(fileobj=cast(IO[bytes], _Bounded(unpacked))) as tarred:
        info = next((info for info in tarred if info.name == member), None)
        stream = tarred.extractfile(info) if info is not None and info.isreg() else None
        if stream is None:
            raise KeyError(member)
        with stream:
            yield stream


class _Bounded:
    """A stream that is read no further than MAX_UNPACKED, and in no piece that only a hostile header asks for."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self.name, self.mode = "archive", "rb"

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_PIECE or self._stream.tell() + size > MAX_UNPACKED + MAX_PIECE:
            raise ValueError(f"more than {MAX_UNPACKED:,} bytes unpacked, or {size:,} at once")
        return self._stream.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        if whence != 0 or not 0 <= position <= MAX_UNPACKED:
            raise ValueError(f"more than {MAX_UNPACKED:,} bytes unpacked")
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()
