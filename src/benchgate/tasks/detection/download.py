"""COCO val2017 from its official archives: `python -m benchgate.tasks.detection.download DIR`, with a network.

About 1.1 GB to fetch and as much unpacked. A cut download goes on where it stopped; hashes and sizes are pinned.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchgate.core import BenchgateError
from benchgate.storage.download import FetchError, download, file_sha256


@dataclass(frozen=True)
class Archive:
    """A zip, its size in bytes and hash, and the members whose names start with `prefix`, which are unpacked."""

    url: str
    size: int
    sha256: str
    prefix: str


ARCHIVES = (
    Archive(
        "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
        252_907_541,
        "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        "annotations/instances_val2017.json",
    ),
    Archive(
        "http://images.cocodataset.org/zips/val2017.zip",
        815_585_330,
        "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        "val2017/",
    ),
)


def download_coco(folder: Path, archives: tuple[Archive, ...] = ARCHIVES, get: Callable[..., Path] = download) -> Path:
    """Fetch and unpack into the layout that `load_coco` reads; returns `folder`.

    What is there already, with the right hash, is not fetched again. Raises FetchError naming what to do without a
    network, or for an archive that is not what it should be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        target = folder / archive.url.rpartition("/")[2]
        if not (target.is_file() and file_sha256(target) == archive.sha256):
            _get(archive, target, folder, get)
        _unpack(target, archive.prefix, folder)
    return folder


def _get(archive: Archive, target: Path, folder: Path, get: Callable[..., Path]) -> None:
    try:
        get(archive.url, target, sha256=archive.sha256, size=archive.size)
    except FetchError as error:
        raise FetchError(
            f"{error}\n  With a network: python -m benchgate.tasks.detection.download {folder}\n"
            f"  Without: copy {target.name} into {folder} from a machine that has it and run the same command, "
            "or pass a COCO folder that you have with --cell-coco DIR"
        ) from error


def _unpack(source: Path, prefix: str, folder: Path) -> None:
    """Write the wanted members, and only those: the names inside an archive decide nothing else."""
    try:
        with zipfile.ZipFile(source) as archive:
            wanted = [name for name in archive.namelist() if name.startswith(prefix) and ".." not in name]
            if not wanted:
                raise FetchError(f"{source}: no {prefix} in it; delete it and try again")
            archive.extractall(folder, wanted)
    except zipfile.BadZipFile as error:
        raise FetchError(f"{source}: not a zip file ({error}); delete it and try again") from error


def main(arguments: list[str]) -> int:
    """The command line: one folder. Returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m benchgate.tasks.detection.download DIR", file=sys.stderr)
        return 2
    try:
        folder = download_coco(Path(arguments[0]))
    except BenchgateError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"COCO val2017 is in {folder}; measure with: pytest benchmarks/test_detection.py --cell-coco {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
