"""The project as another version of it: a git ref as a worktree beside the checkout, or a folder.

A worktree is made by `git worktree add --lock` with the process that owns it as the reason: who finds one whose owner
is gone (SIGKILL) removes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchgate.core import DataError
from benchgate.storage import cache, git
from benchgate.storage.brought import bring

OWNER = "benchgate "
LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Tree:
    """One version of the project. `root` is its top folder, `said` how it is named to people, `commit` that of a ref.

    `notes` are what a reader must know of it; `lacking` is what could not be brought, for who finds something missing.
    """

    root: Path
    said: str
    commit: str | None = None
    notes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


def here(folder: Path) -> Tree:
    """The version that one stands in: the checkout as it is, or the folder where there is none."""
    top = git.top_of(folder)
    if top is None:
        return Tree(folder.resolve(), str(folder))
    head = git.commit_of(top, "HEAD")
    dirty = bool(git.names(top, "status", "--porcelain", "-z", "--untracked-files=no") or git.untracked(top))
    name = "the checkout" if head is None else f"the checkout at {head[:9]}"
    notes = ("the checkout has changes that are not committed: it is measured as it is",) if dirty else ()
    return Tree(top.resolve(), name + (" with changes" if dirty else ""), head, notes)


@contextlib.contextmanager
def version(text: str, ours: Tree) -> Iterator[Tree]:
    """Yield the version that a ref of our repository or a folder names; a worktree is removed afterwards.

    Raises DataError for what is neither, and where a worktree cannot be made.
    """
    in_git = git.top_of(ours.root) is not None
    commit = git.commit_of(ours.root, text) if in_git else None
    if commit is None:
        folder = Path(text).expanduser()
        if not folder.is_dir():
            raise git.unknown_ref(ours.root, text) if in_git else DataError(_no_repository(text, ours.root))
        yield Tree(folder.resolve(), str(folder))
        return
    remove_left_over(ours.root)
    place, notes = _place(ours.root)
    try:
        _add(ours.root, place, commit)
        brought, lacking = bring(ours.root, place, commit)
        yield Tree(place, f"{text} ({commit[:9]})", commit, (*notes, *brought), lacking)
    finally:
        _remove(ours.root, place)


def _no_repository(text: str, root: Path) -> str:
    return f"{text!r} is no folder, and {root} is no git repository (or git is missing): give a folder of the baseline"


def _add(root: Path, place: Path, commit: str) -> None:
    process = psutil.Process()
    owner = OWNER + json.dumps({"pid": process.pid, "start": process.create_time()})
    try:
        git.git(root, "worktree", "add", "--quiet", "--detach", "--lock", "--reason", owner, str(place), commit)
    except DataError as error:
        free = shutil.disk_usage(place.parent).free
        raise DataError(
            f"no worktree of {commit[:9]} can be made in {place.parent} ({free / 2**20:,.0f} MiB free): {error}; "
            "make room, or give the baseline as a folder"
        ) from error


def _remove(root: Path, place: Path) -> None:
    with contextlib.suppress(DataError):
        git.git(root, "worktree", "remove", "--force", "--force", str(place))
    if place.exists():
        # git leaves what it could not delete, or what it did not make to the end.
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(DataError):
            git.git(root, "worktree", "unlock", str(place))
            git.git(root, "worktree", "prune")


def remove_left_over(root: Path) -> list[Path]:
    """Remove worktrees of ours whose process is gone; return their places."""
    removed = []
    for block in git.git(root, "worktree", "list", "--porcelain").split("\n\n"):
        lines = dict(line.partition(" ")[::2] for line in block.splitlines())
        owner = lines.get("locked", "").strip('"').replace('\\"', '"')
        if owner.startswith(OWNER) and not _is_alive(owner.removeprefix(OWNER)):
            removed.append(Path(lines["worktree"]))
            _remove(root, removed[-1])
    return removed


def _is_alive(owner: str) -> bool:
    try:
        told = json.loads(owner)
        started: float = psutil.Process(int(told["pid"])).create_time()
        return abs(started - float(told["start"])) < 1
    except (ValueError, KeyError, TypeError, psutil.NoSuchProcess):
        return False


def _place(root: Path) -> tuple[Path, tuple[str, ...]]:
    """A free place for a worktree, and what must be said of it.

    Beside the checkout, its name as long: the length of a path moves the stack, and so the times of both sides.
    """
    chosen = random.SystemRandom()
    if os.access(root.parent, os.W_OK) and len(root.name) > 1:
        for _ in range(100):
            place = root.parent / ("." + "".join(chosen.choices(LETTERS, k=len(root.name) - 1)))
            if not place.exists():
                return place, ()
    folder = cache.root() / "worktrees"
    with cache.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    wanted = max(8, len(str(root)) - len(str(folder)) - 1)
    place = folder / "".join(chosen.choices(LETTERS, k=wanted))
    return place, (f"the baseline is in {folder}, not beside the checkout, where nothing can be written",)
