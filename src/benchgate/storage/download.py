"""Fetch one URL into one file: resumed where it was cut, hashed, with a progress bar."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from benchgate.core import BenchgateError
from benchgate.machine.packages import missing_packages
from benchgate.storage.cache import explained, locked, need_space

if TYPE_CHECKING:
    from unearth.fetchers import Fetcher

CHUNK = 1 << 20
WEB = ("http", "https")
# With the suffixes that are put behind it, within the 255 bytes of common file systems.
MAX_NAME = 200


class FetchError(BenchgateError):
    """Something could not be fetched, or is not what it should be; the message says what to do about it."""


def download(
    url: str,
    target: Path,
    sha256: str | None = None,
    size: int | None = None,
    client: Fetcher | None = None,
    at_most: int | None = None,
) -> Path:
    """Fetch `url` to `target`. A cut download stays beside it as `.part` and is gone on with at the next call.

    No more than `size` bytes, where it is known, are written, else no more than `at_most`. Two processes that fetch the
    same target take turns. Raises FetchError when the server cannot be reached, closes early or sends too much or
    something of another hash (both are then deleted), CacheError on a full disk.
    """
    part = target.with_name(target.name + ".part")
    with locked(part), explained(part):
        if sha256 is not None and target.is_file() and file_sha256(target) == sha256:
            # Somebody else fetched it while this process waited.
            return target
        if size is not None:
            need_space(part.parent, size - (part.stat().st_size if part.exists() else 0))
        _fetch(url, part, size, at_most if size is None else size, client or http_client())
        if sha256 is not None and (found := file_sha256(part)) != sha256:
            part.unlink()
            raise FetchError(f"{url}: sha256 is {found}, expected {sha256}; what came was deleted, try again")
        os.replace(part, target)
    return target


def _fetch(url: str, part: Path, size: int | None, limit: int | None, client: Fetcher) -> None:
    import httpx2

    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with client.get_stream(url, headers=headers) as response:
            if response.status_code == 416:
                part.unlink()
                raise FetchError(f"{url}: the part that was there is longer than the file; deleted, try again")
            response.raise_for_status()
            have = have if response.status_code == 206 else 0
            expected = _length(response.headers.get("Content-Length", ""), url) + have
            _check_size(url, part, max(expected, have), limit)
            with part.open("ab" if have else "wb") as stream, progress(target_name(url), expected) as advance:
                advance(have)
                # Undecoded: a few bytes of an encoded answer may be gigabytes. As it comes: collecting it into larger
                # chunks would lose what a cut leaves of the last one.
                for chunk in response.iter_raw():
                    have += len(chunk)
                    _check_size(url, part, have, limit)
                    stream.write(chunk)
                    advance(len(chunk))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise FetchError(f"{url}: {type(error).__name__}: {error}; what came is kept, try again to go on") from error
    if have < expected:
        raise FetchError(f"{url}: cut after {have:,} of {expected:,} bytes; what came is kept, try again to go on")


def _check_redirect(response: Any) -> None:
    """A server may send its clients to another one, but not to their own files."""
    if "Location" not in response.headers or response.url.scheme not in WEB:
        return
    target = urljoin(str(response.url), response.headers["Location"])
    if urlsplit(target).scheme not in WEB:
        raise FetchError(f"{response.url}: redirected to {target[:200]!r}, no address of the web; nothing was read")


def _length(text: str, url: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise FetchError(f"{url}: the server says a Content-Length of {text[:40]!r}, which is no number of bytes")
    return int(text or 0)


def _check_size(url: str, part: Path, size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        part.unlink(missing_ok=True)
        raise FetchError(f"{url}: more than the {limit:,} bytes that it may have; what came was deleted")


def target_name(url: str) -> str:
    """The name of the file that a URL means. Raises FetchError for one that is none: "..", too long, unprintable."""
    name = url.partition("#")[0].partition("?")[0].rstrip("/").rpartition("/")[2]
    if name in ("", ".", "..") or len(name.encode()) > MAX_NAME or not name.isprintable() or "\\" in name:
        raise FetchError(f"{url[:200]!r}: its last part is no name of a file")
    return name


def http_client(**options: Any) -> Fetcher:
    """A client that also reads file:// URLs (local mirrors), with the environment's proxies and certificates.

    Raises FetchError without `unearth`.
    """
    if hint := missing_packages({"unearth": "fetch"}):
        raise FetchError(hint)
    from unearth.fetchers import PyPIClient

    hooks = {"response": [_check_redirect]}
    return PyPIClient(follow_redirects=True, timeout=30.0, event_hooks=hooks, **options)


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
