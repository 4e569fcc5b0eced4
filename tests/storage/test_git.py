"""What git tells of a folder."""

from __future__ import annotations

import os
import subprocess

from benchgate.storage.git import commit_info

IDENTITY = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder, *arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **IDENTITY}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_commit_of_a_folder_and_whether_it_has_changes(tmp_path):
    assert commit_info(tmp_path) == {}
    git(tmp_path, "init", "-q")
    assert commit_info(tmp_path) == {}
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "one")
    (tmp_path / "untracked").write_text("1")
    assert commit_info(tmp_path) == {"id": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "a").write_text("2")
    assert commit_info(tmp_path)["dirty"] is True
