"""Two versions of a project, file by file: which paths differ."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from pathlib import Path

from benchgate.storage import git
from benchgate.storage.checkout import Tree

# Folders that hold no source, where no git tells.
PASSED_OVER = {"__pycache__", "build", "dist", "node_modules", "venv"}


def changed(ours: Tree, theirs: Tree) -> frozenset[str]:
    """Paths below the root that are not the same on both sides, files that git does not know yet among them."""
    if theirs.commit is not None:
        tracked = git.names(ours.root, "diff", "--name-only", "-z", theirs.commit)
        return frozenset((*tracked, *git.untracked(ours.root)))
    names = {*files(ours.root), *files(theirs.root)}
    return frozenset(name for name in names if not _same(ours.root / name, theirs.root / name))


def _same(ours: Path, theirs: Path) -> bool:
    return ours.is_file() and theirs.is_file() and filecmp.cmp(ours, theirs, shallow=False)


def files(root: Path) -> Iterator[str]:
    """Paths of a version's files below its root: git's where it is a checkout, else all but hidden and built ones."""
    if git.top_of(root) == root:
        yield from git.names(root, "ls-files", "-z", "--cached")
        yield from git.untracked(root)
        return
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in PASSED_OVER and ".egg-info" not in f]
        for name in names:
            if not name.endswith((".pyc", ".pyo")):
                yield (Path(folder) / name).relative_to(root).as_posix()
