"""git, asked by its command line: no library of it is needed for what we ask."""

from __future__ import annotations

import os
import subprocess
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from benchgate.core import DataError

# A user's hooks and configuration of the shell must not run, and LFS must not reach for a network.
QUIET = {"GIT_LFS_SKIP_SMUDGE": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}")
# Set by git for hooks and aliases: they would send us to another repository.
MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def git(folder: Path, *args: str) -> str:
    """Return what `git ARGS` prints in a folder. Raises DataError with git's own words where it fails or is missing."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    try:
        done = subprocess.run(
            ["git", *NO_HOOKS, *args],
            cwd=folder,
            env={**environment, **QUIET},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise DataError("git is not installed; install it, or give the baseline as a folder: ./FOLDER") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise DataError(f"git {args[0]}: {said[-1]}")
    return done.stdout.decode("utf-8", "surrogateescape")


def names(folder: Path, *args: str) -> list[str]:
    """The parts that `git ARGS -z` prints."""
    return [name for name in git(folder, *args).split("\0") if name]


def top_of(folder: Path) -> Path | None:
    """The root of the checkout that a folder is in, None outside of one or without git."""
    try:
        return Path(git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
    except DataError:
        return None


def untracked(top: Path) -> list[str]:
    """Files that git neither knows nor ignores, without virtual environments and byte code: they are no source."""
    found = names(top, "ls-files", "-z", "--others", "--exclude-standard")
    environments = tuple(name.removesuffix("pyvenv.cfg") for name in found if name.rpartition("/")[2] == "pyvenv.cfg")
    return [name for name in found if not name.startswith(environments) and not name.endswith((".pyc", ".pyo"))]


def first_worktree(root: Path) -> Path:
    """The folder of the repository itself, of which `root` may be a worktree (git-worktree(1): it is listed first)."""
    listed = git(root, "worktree", "list", "--porcelain").splitlines()
    return Path(listed[0].removeprefix("worktree "))


def commit_of(folder: Path, ref: str) -> str | None:
    """The commit that a name means here, None where it means none."""
    if ref.startswith("-"):
        return None
    try:
        return git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").strip()
    except DataError:
        return None


def commit_info(folder: Path) -> dict[str, Any]:
    """The commit that a folder is at as pytest-benchmark's documents tell it: `id`, `dirty`; {} where there is none."""
    commit = commit_of(folder, "HEAD")
    if commit is None:
        return {}
    return {"id": commit, "dirty": bool(git(folder, "status", "--porcelain", "--untracked-files=no").strip())}


def unknown_ref(folder: Path, ref: str) -> DataError:
    """The error for a name that means no commit: near names, and what a shallow clone lacks."""
    known = git(folder, "for-each-ref", "--format=%(refname:short)").split()
    near = get_close_matches(ref, known, 1, 0.5) or [name for name in known if name.endswith(f"/{ref}")][:1]
    hint = f"; did you mean {near[0]!r}?" if near else f"; there is: {', '.join(known[:8]) or 'no branch or tag'}"
    if git(folder, "rev-parse", "--is-shallow-repository").strip() == "true":
        hint += "; this clone is shallow: `git fetch --unshallow` (GitHub Actions: fetch-depth: 0)"
    return DataError(f"{ref!r} is neither a commit of this repository nor a folder{hint}")
