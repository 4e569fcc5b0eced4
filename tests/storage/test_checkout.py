"""Other versions of a project: worktrees beside the checkout, what they lack, and what differs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchgate.core import DataError
from benchgate.storage import checkout, git
from benchgate.storage.checkout import here, version
from benchgate.storage.trees import changed

IDENTITY = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
GONE = json.dumps({"pid": 2**22 - 1, "start": 1.0})


def run(folder: Path, *args: str) -> str:
    return subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *args],
        cwd=folder,
        env={**os.environ, **IDENTITY},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def commit(folder: Path, message: str = "a commit", **files: str) -> str:
    for name, text in files.items():
        path = folder / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    run(folder, "add", "-A")
    run(folder, "commit", "-q", "--allow-empty", "-m", message)
    return run(folder, "rev-parse", "HEAD").strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my project ü"
    folder.mkdir()
    run(folder, "init", "-q", "-b", "main")
    commit(folder, src_in_model__py="SPEED = 1\n", README__md="words\n")
    return folder


def worktrees(project: Path) -> int:
    return run(project, "worktree", "list").count("\n") - 1


def test_a_ref_becomes_a_worktree_beside_the_checkout_and_is_gone_afterwards(project: Path) -> None:
    first = run(project, "rev-parse", "HEAD").strip()
    commit(project, src_in_model__py="SPEED = 2\n")

    with version("HEAD~1", here(project)) as tree:
        assert (tree.root / "src/model.py").read_text() == "SPEED = 1\n"
        assert tree.root.parent == project.parent
        assert len(str(tree.root)) == len(str(project))
        assert (tree.commit, tree.said) == (first, f"HEAD~1 ({first[:9]})")
        assert changed(here(project), tree) == {"src/model.py"}

    assert not tree.root.exists()
    assert worktrees(project) == 0


def test_a_worktree_is_gone_after_an_interrupt(project: Path) -> None:
    with pytest.raises(KeyboardInterrupt), version("main", here(project)) as tree:
        raise KeyboardInterrupt

    assert not tree.root.exists()
    assert worktrees(project) == 0


def test_the_next_run_removes_what_a_killed_one_left_and_nothing_else(project: Path) -> None:
    run(project, "worktree", "add", "-q", "--lock", "--reason", checkout.OWNER + GONE, "../left", "HEAD")
    run(project, "worktree", "add", "-q", "--lock", "--reason", "on a stick", "../mine", "HEAD")
    with version("main", here(project)) as living:
        assert checkout.remove_left_over(project) == []
        assert living.root.exists()

    assert not (project.parent / "left").exists()
    assert (project.parent / "mine").exists()


def test_a_dirty_tree_is_said_and_what_differs_is_found(project: Path) -> None:
    (project / "new.py").write_text("1")
    (project / "README.md").unlink()
    ours = here(project)

    assert "not committed" in ours.notes[0]
    with version("main", ours) as tree:
        assert changed(ours, tree) == {"new.py", "README.md"}


def test_an_environment_and_byte_code_in_the_checkout_are_no_change(project: Path) -> None:
    for name in ("env/pyvenv.cfg", "env/lib/site-packages/x.py", "src/__pycache__/model.cpython-311.pyc"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    ours = here(project)

    assert ours.notes == ()
    with version("main", ours) as tree:
        assert changed(ours, tree) == frozenset()


def test_an_unchanged_ref_differs_in_nothing(project: Path) -> None:
    with version("main", here(project)) as tree:
        assert changed(here(project), tree) == frozenset()


@pytest.mark.parametrize(
    ("ref", "said"), [("mian", "did you mean 'main'"), ("--upload-pack=x", "neither a commit"), ("", "there is: main")]
)
def test_a_ref_that_does_not_exist_is_named_with_what_there_is(project: Path, ref: str, said: str) -> None:
    with pytest.raises(DataError, match=said), version(ref or "zzzz", here(project)):
        pass


def test_a_shallow_clone_says_how_to_deepen_it(project: Path, tmp_path: Path) -> None:
    old = run(project, "rev-parse", "HEAD").strip()
    commit(project, more__py="1")
    run(tmp_path, "clone", "-q", "--depth", "1", f"file://{project}", "shallow")

    with pytest.raises(DataError, match="fetch-depth: 0"), version(old, here(tmp_path / "shallow")):
        pass


def test_without_git_a_folder_still_does(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    (other / "src").mkdir(parents=True)
    (other / "src/model.py").write_text("SPEED = 2\n")
    monkeypatch.setenv("PATH", "")

    with pytest.raises(DataError, match="git is missing"), version("main", here(project)):
        pass
    with version(str(other), here(other)) as tree:
        assert changed(here(other), tree) == frozenset()
        (tmp_path / "third").mkdir()
        with version(str(tmp_path / "third"), here(other)) as empty:
            assert changed(here(other), empty) == {"src/model.py"}


def test_a_folder_of_another_clone(project: Path, tmp_path: Path) -> None:
    run(tmp_path, "clone", "-q", str(project), "clone")
    (project / "src/model.py").write_text("SPEED = 3\n")

    with version(str(tmp_path / "clone"), here(project)) as tree:
        assert (tree.commit, changed(here(project), tree)) == (None, {"src/model.py"})


def test_hooks_of_the_user_do_not_run(project: Path) -> None:
    hook = project / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)

    with version("main", here(project)) as tree:
        assert not (tree.root / "ran").exists()


def test_a_place_that_cannot_be_written_is_named_with_a_way_out(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "nothing"
    full.write_text("")
    monkeypatch.setattr(checkout, "_place", lambda root: (full / "below", ()))

    with pytest.raises(DataError, match="no worktree of"), version("main", here(project)):
        pass
    assert worktrees(project) == 0


def test_a_parent_that_cannot_be_written_sends_the_worktree_to_the_cache(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda *_: False)

    with version("main", here(project)) as tree:
        assert tree.root.parent == tmp_path / "cache" / "worktrees"
        assert "not beside the checkout" in tree.notes[0]


def test_generated_files_are_brought_and_ignored_folders_named(project: Path) -> None:
    commit(project, __gitignore="_version.py\n*.so\ndata/\n")
    (project / "src/_version.py").write_text("v = 1")
    (project / "src/fast.so").write_bytes(b"\x7fELF")
    (project / "data").mkdir()
    (project / "data/big.bin").write_bytes(b"0")

    with version("main", here(project)) as tree:
        assert (tree.root / "src/_version.py").read_text() == "v = 1"
        assert (tree.root / "src/fast.so").exists()
        assert not (tree.root / "data").exists()
        assert any("_version.py" in note for note in tree.notes)
        assert any("data/" in lack for lack in tree.lacking)


def test_an_extension_is_not_brought_where_its_sources_differ(project: Path) -> None:
    commit(project, __gitignore="*.so\n", src_in_fast__c="int x;\n")
    commit(project, src_in_fast__c="int y;\n")
    (project / "src/fast.so").write_bytes(b"\x7fELF")

    with version("HEAD~1", here(project)) as tree:
        assert not (tree.root / "src/fast.so").exists()
        assert any("fast.so is built from sources that differ (src/fast.c)" in lack for lack in tree.lacking)


def test_a_submodule_is_brought_at_its_recorded_commit_or_named(project: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    run(part, "init", "-q", "-b", "main")
    commit(part, weights__txt="one")
    run(project, "submodule", "add", "-q", str(part), "part")
    commit(project)
    commit(part, weights__txt="two")
    run(project / "part", "pull", "-q", "origin", "main")
    commit(project)

    with version("HEAD~1", here(project)) as tree:
        assert (tree.root / "part/weights.txt").read_text() == "one"
        assert any("submodule part" in note for note in tree.notes)
        assert changed(here(project), tree) == {"part"}
        # A step of a bisection makes its baseline's worktree out of a worktree, whose submodules are no repositories.
        with version("main", here(tree.root)) as of_worktree:
            assert (of_worktree.root / "part/weights.txt").read_text() == "two"
    run(project, "submodule", "deinit", "-q", "-f", "part")
    with version("HEAD~1", here(project)) as tree:
        assert any("submodule part" in lack and "git submodule update" in lack for lack in tree.lacking)


def test_an_lfs_pointer_is_replaced_by_its_object_or_named(project: Path) -> None:
    content = b"weights"
    oid = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    commit(project, __gitattributes="*.bin filter=lfs\n")
    (project / "m.bin").write_text(pointer)
    run(project, "-c", "filter.lfs.required=false", "add", "-A")
    commit(project)

    with version("main", here(project)) as tree:
        assert any("m.bin is an LFS pointer" in lack for lack in tree.lacking)
    store = project / ".git/lfs/objects" / oid[:2] / oid[2:4]
    store.mkdir(parents=True)
    (store / oid).write_bytes(content)
    with version("main", here(project)) as tree:
        assert (tree.root / "m.bin").read_bytes() == content
        assert tree.lacking == ()


def test_what_git_says_is_in_the_error(project: Path) -> None:
    with pytest.raises(DataError, match=r"git cat-file: .*Not a valid object"):
        git.git(project, "cat-file", "-p", "nothing")


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed by a signal")
def test_a_detached_head_is_a_version_too(project: Path) -> None:
    run(project, "checkout", "-q", "--detach")

    with version("main", here(project)) as tree:
        assert changed(here(project), tree) == frozenset()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    place = tmp_path / "small disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_said_and_nothing_stays(small_disk: Path) -> None:
    project = small_disk / "project"
    project.mkdir()
    run(project, "init", "-q", "-b", "main")
    (project / "large.bin").write_bytes(os.urandom(2_500_000))
    commit(project)
    with (
        pytest.raises(DataError, match=r"no worktree of \w{9} can be made in .*small disk \(1 MiB free\): .*make room"),
        version("HEAD", here(project)),
    ):
        pass
    assert [path.name for path in small_disk.iterdir()] == ["project"]
    assert worktrees(project) == 0
