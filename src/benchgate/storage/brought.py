"""Files that a worktree lacks although the checkout has it: submodules, LFS files, files that git ignores.

It is brought where it is certainly the baseline's own: a submodule's recorded commit, an LFS object by its hash, a
generated Python file. A built extension is brought only where none of what it is built from differs.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from benchgate.core import DataError
from benchgate.storage import git

LFS = b"version https://git-lfs.github.com/spec/v1"
LFS_HEAD = 1024
GENERATED = (".py", ".pyi", ".json", ".toml")
BUILT = (".so", ".pyd", ".dylib", ".dll")
# What extensions are built from.
SOURCES = (".c", ".cc", ".cpp", ".cxx", ".cu", ".f90", ".h", ".hpp", ".m", ".mm", ".pxd", ".pyx", ".rs")
BUILDING = ("CMakeLists.txt", "Cargo.toml", "meson.build", "setup.py")
NAMED = 3


def bring(ours: Path, theirs: Path, commit: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Bring to a worktree of `commit` what it lacks. Returns two lists for people: what was brought, what lacks."""
    brought, lacking = _submodules(ours, theirs, commit)
    lacking += _large_files(ours, theirs)
    generated, without = _ignored(ours, theirs, commit)
    return tuple(brought + generated), tuple(lacking + without)


def _submodules(ours: Path, theirs: Path, commit: str) -> tuple[list[str], list[str]]:
    brought: list[str] = []
    lacking: list[str] = []
    for entry in git.names(ours, "ls-tree", "-r", "-z", commit):
        about, _, path = entry.partition("\t")
        mode, _, sha = about.split()
        if mode != "160000":
            continue
        source = _having(ours, path, sha)
        if source is None:
            lacking.append(f"submodule {path} at {sha[:9]} is not here: git submodule update --init --recursive")
            continue
        try:
            _unpack(source, sha, theirs / path)
        except (DataError, tarfile.TarError, OSError) as error:
            lacking.append(f"submodule {path} at {sha[:9]} cannot be brought: {error}")
            continue
        brought.append(f"submodule {path} at {sha[:9]} was brought from the checkout")
        more = _submodules(source, theirs / path, sha)
        brought += more[0]
        lacking += more[1]
    return brought, lacking


def _having(ours: Path, path: str, commit: str) -> Path | None:
    """The repository of a submodule that has the commit: here, or where this worktree was made from, which has them."""
    for root in (ours, git.first_worktree(ours)):
        source = root / path
        if git.top_of(source) == source.resolve() and git.commit_of(source, commit) is not None:
            return source
    return None


def _unpack(source: Path, commit: str, place: Path) -> None:
    done = subprocess.run(["git", "archive", "--format=tar", commit], cwd=source, capture_output=True, check=False)
    if done.returncode:
        raise DataError(done.stderr.decode("utf-8", "replace").strip())
    # Of another commit some files may be there that this one has not.
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(place, filter="data")


def _large_files(ours: Path, theirs: Path) -> list[str]:
    """Put LFS objects that are stored here in the place of their pointers; return what is not here."""
    lacking = []
    store = Path(git.git(ours, "rev-parse", "--path-format=absolute", "--git-common-dir").strip()) / "lfs" / "objects"
    for name in git.names(theirs, "ls-files", "-z", ":(attr:filter=lfs)"):
        oid = _pointer(theirs / name)
        if oid is None:
            continue
        stored = store / oid[:2] / oid[2:4] / oid
        if stored.is_file():
            shutil.copyfile(stored, theirs / name)
        else:
            lacking.append(f"{name} is an LFS pointer whose object is not here: git lfs fetch --all")
    return lacking


def _pointer(path: Path) -> str | None:
    """The SHA-256 that an LFS pointer names, None for any other file."""
    try:
        with path.open("rb") as file:
            head = file.read(LFS_HEAD)
    except OSError:
        return None
    if not head.startswith(LFS):
        return None
    oid = next(
        (line[11:].decode("ascii", "replace") for line in head.splitlines() if line.startswith(b"oid sha256:")), ""
    )
    return oid if len(oid) == 64 and all(c in "0123456789abcdef" for c in oid) else None


def _ignored(ours: Path, theirs: Path, commit: str) -> tuple[list[str], list[str]]:
    """Bring generated files and built extensions; folders that are ignored as a whole are only named."""
    brought: list[str] = []
    lacking: list[str] = []
    ignored = git.names(ours, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    sources = [name for name in git.names(ours, "diff", "--name-only", "-z", commit) if _is_source(name)]
    for name in ignored:
        place = theirs / name
        if place.exists() or not place.parent.is_dir():
            continue
        if name.endswith(GENERATED):
            shutil.copyfile(ours / name, place)
            brought.append(f"{name}, which git ignores, was brought from the checkout")
        elif name.endswith(BUILT) and not sources:
            shutil.copy2(ours / name, place)
            brought.append(f"{name}, built in the checkout from the same sources, was brought")
        elif name.endswith(BUILT):
            lacking.append(
                f"{name} is built from sources that differ ({', '.join(sources[:NAMED])}): build the baseline in a "
                "folder of its own and give that folder"
            )
    # What begins with a dot holds caches and environments, as __pycache__ does.
    folders = [name for name in ignored if name.endswith("/") and not _is_hidden(name)]
    if folders:
        lacking.append(f"what git ignores is not in a worktree: {', '.join(folders[:NAMED])}")
    return brought, lacking


def _is_hidden(folder: str) -> bool:
    name = folder.rstrip("/").rpartition("/")[2]
    return name.startswith(".") or name == "__pycache__"


def _is_source(name: str) -> bool:
    return name.endswith(SOURCES) or name.rpartition("/")[2] in BUILDING
