"""Fetch one URL into one file: resumed where it was cut, hashed, with a progress bar."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchgate.core import BenchgateError
from benchgate.storage.cache import explained, need_space

if TYPE_CHECKING:
    from unearth.fetchers import Fetcher

CHUNK = 1 << 20


class FetchError(BenchgateError):
    """Something could not be fetched, or is not what it should be; the message says what to do about it."""


def download(
    url: str, target: Path, sha256: str | None = None, size: int | None = None, client: Fetcher | None = None
) -> Path:
    """Fetch `url` to `target`. A cut download stays beside it as `.part` and is gone on with at the next call.

    Raises FetchError when the server cannot be reached, closes early or sends something of another hash (which is
    then deleted), CacheError on a full disk.
    """
    part = target.with_name(target.name + ".part")
    with explained(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        if size is not None:
            need_space(part.parent, size - (part.stat().st_size if part.exists() else 0))
        _fetch(url, part, size, client or http_client())
    if sha256 is not None and (found := file_sha256(part)) != sha256:
        part.unlink()
        raise FetchError(f"{url}: sha256 is {found}, expected {sha256}; what came was deleted, try again")
    os.replace(part, target)
    return target


def _fetch(url: str, part: Path, size: int | None, client: Fetcher) -> None:
    import httpx2

    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with client.get_stream(url, headers=headers) as response:
            if response.status_code == 416:
                part.unlink()
                raise FetchError(f"{url}: the part that was there is longer than the file; deleted, try again")
            response.raise_for_status()
            resumed = response.status_code == 206
            expected = int(response.headers.get("Content-Length", 0)) + (have if resumed else 0)
            with part.open("ab" if resumed else "wb") as stream, progress(target_name(url), expected) as advance:
                advance(have if resumed else 0)
                # As it comes: collecting it into larger chunks would lose what a cut leaves of the last one.
                for chunk in response.iter_bytes():
                    stream.write(chunk)
                    advance(len(chunk))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise FetchError(f"{url}: {type(error).__name__}: {error}; what came is kept, try again to go on") from error
    got = part.stat().st_size
    if expected and got < expected:
        raise FetchError(f"{url}: cut after {got:,} of {expected:,} bytes; what came is kept, try again to go on")


def target_name(url: str) -> str:
    return url.partition("#")[0].partition("?")[0].rstrip("/").rpartition("/")[2]


def http_client(**options: Any) -> Fetcher:
    """A client that also reads file:// URLs (local mirrors), with the environment's proxies and certificates."""
    from unearth.fetchers import PyPIClient

    return PyPIClient(follow_redirects=True, timeout=30.0, **options)


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def progress(title: str, total: float) -> Iterator[Any]:
    """A progress bar on standard error; yields `advance(n)`. Draws nothing where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task(title, total=total or None)
        yield lambda n: bars.update(task, advance=n)
