"""Artifacts: built once, whole or not at all."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchgate.core import BenchgateError, Scheme
from benchgate.storage.artifacts import artifact, artifact_bytes, artifact_key, build_or_reuse
from benchgate.storage.building import MANIFEST
from benchgate.storage.cache import CacheError

KEY = {"model": "spam", "version": "1"}


class Build:
    """Writes two files and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, out: Path) -> None:
        assert not list(out.iterdir())
        self.times += 1
        (out / "weights.bin").write_bytes(b"w" * 100)
        (out / "sub").mkdir()
        (out / "sub" / "config.json").write_text("{}")


def rests(benchgate_cache: Path) -> list[str]:
    return sorted(p.name for p in (benchgate_cache / "artifacts").iterdir() if p.suffix != ".lock")


def test_an_artifact_is_built_once_and_reused():
    build = Build()
    path = build_or_reuse("spam", KEY, build)
    assert (path / "weights.bin").read_bytes() == b"w" * 100
    assert build_or_reuse("spam", dict(reversed(KEY.items())), build) == path
    assert build.times == 1


def test_another_key_is_another_artifact():
    build = Build()
    assert build_or_reuse("spam", KEY, build) != build_or_reuse("spam", {**KEY, "version": "2"}, build)
    assert build.times == 2


def test_its_bytes_are_those_of_what_the_build_wrote_without_our_manifest():
    path = build_or_reuse("spam", KEY, Build())
    assert artifact_bytes(path) == 102
    assert json.loads((path / MANIFEST).read_text())["key"] == KEY


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
def test_an_interrupted_build_leaves_nothing_and_the_next_one_is_whole(benchgate_cache, error):
    def interrupted(out: Path) -> None:
        (out / "weights.bin").write_bytes(b"half")
        raise error

    with pytest.raises(error):
        build_or_reuse("spam", KEY, interrupted)
    assert rests(benchgate_cache) == []
    assert artifact_bytes(build_or_reuse("spam", KEY, Build())) == 102


def _damage_files(path: Path, how: str) -> None:
    if how == "shorter":
        (path / "weights.bin").write_bytes(b"w" * 99)
    elif how == "gone":
        (path / "sub" / "config.json").unlink()
    elif how == "more":
        (path / "more.bin").write_bytes(b"")
    elif how == "no manifest":
        (path / MANIFEST).unlink()
    else:
        (path / MANIFEST).write_text(how)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("shorter", "weights.bin changed since it was built; building it again"),
        ("gone", "sub/config.json changed since it was built; building it again"),
        ("more", "more.bin changed since it was built; building it again"),
        ("no manifest", "no readable manifest"),
        ('{"files": {"wei', "no readable manifest"),
        ("[]", "no readable manifest"),
        ('{"files": [1]}', "no readable manifest"),
        ('{"files": []}', "no readable manifest"),
        ('{"key": {}, "files": {}, "inputs": {}, "about": {}, "built": 0, "seconds": 0}', "changed since it was built"),
        ('{"key": [], "files": {}, "inputs": {}, "about": {}, "built": 0, "seconds": 0}', "no readable manifest"),
        ("{}", "no readable manifest"),
    ],
)
def test_a_damaged_artifact_is_built_again_and_says_so(capsys, how, said):
    build = Build()
    path = build_or_reuse("spam", KEY, build)
    _damage_files(path, how)
    assert build_or_reuse("spam", KEY, build) == path
    assert build.times == 2
    assert artifact_bytes(path) == 102
    told = capsys.readouterr().err
    assert f"benchgate: {path}: " in told
    assert said in told


def test_an_artifact_that_is_whole_is_reused_without_a_word(capsys):
    for _ in range(2):
        build_or_reuse("spam", KEY, Build())
    assert capsys.readouterr() == ("", "")


def test_a_full_disk_is_said_with_the_place_and_the_way_out_and_leaves_nothing(benchgate_cache):
    def full(out: Path) -> None:
        (out / "weights.bin").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CacheError, match=f"disk full while writing {benchgate_cache}/artifacts/spam-.*BENCHGATE_CACHE"):
        build_or_reuse("spam", KEY, full)
    assert rests(benchgate_cache) == []


def test_a_build_that_writes_nothing_is_a_defect_and_no_artifact(benchgate_cache):
    with pytest.raises(BenchgateError, match="its build wrote no file; this is a defect of the runtime"):
        build_or_reuse("spam", KEY, lambda out: None)
    assert rests(benchgate_cache) == []


def test_a_cache_that_cannot_be_made_is_named(benchgate_cache):
    benchgate_cache.write_text("a file")
    with pytest.raises(CacheError, match="set BENCHGATE_CACHE"):
        build_or_reuse("spam", KEY, Build())


# Two processes


def _build_slowly(log: str) -> None:
    def build(out: Path) -> None:
        with open(log, "a") as stream:
            stream.write(f"{os.getpid()}\n")
        time.sleep(0.2)
        Build()(out)

    path = build_or_reuse("spam", KEY, build)
    assert artifact_bytes(path) == 102


def test_two_processes_that_want_the_same_artifact_build_it_once(tmp_path):
    log = tmp_path / "builds"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_build_slowly, args=(str(log),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(log.read_text().splitlines()) == 1


def _build_and_die() -> None:
    def build(out: Path) -> None:
        (out / "weights.bin").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    build_or_reuse("spam", KEY, build)


def test_a_process_killed_while_building_blocks_nobody_and_its_half_is_never_used():
    process = multiprocessing.get_context("fork").Process(target=_build_and_die)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert artifact_bytes(build_or_reuse("spam", KEY, Build())) == 102


# The key


def runtime(**changes):
    build = Build()
    return SimpleNamespace(
        **{"name": "plain", "format": "bin", "needs": {}, "build": lambda model, scheme, out: build(out), **changes}
    )


MODEL = SimpleNamespace(name="org/spam", version="1", task="x")
FP32 = Scheme("fp32", 32, "float")


@pytest.mark.parametrize(
    ("model", "scheme", "other_runtime"),
    [
        (SimpleNamespace(name="ham", version="1"), FP32, runtime()),
        (SimpleNamespace(name="org/spam", version="2"), FP32, runtime()),
        (MODEL, Scheme("fp32", 32, "float", {"group": 1}), runtime()),
        (MODEL, Scheme("fp32", 16, "float"), runtime()),
        (MODEL, FP32, runtime(name="other")),
        (MODEL, FP32, runtime(format="onnx")),
        (MODEL, FP32, runtime(needs={"pytest": "dev"})),
    ],
)
def test_everything_that_decides_what_is_built_is_in_the_key(model, scheme, other_runtime):
    assert artifact_key(model, scheme, other_runtime) != artifact_key(MODEL, FP32, runtime())


def test_an_artifacts_folder_is_named_readably_and_stays_within_the_cache(benchgate_cache):
    path = artifact(MODEL, FP32, runtime())
    assert path.parent == benchgate_cache / "artifacts"
    assert path.name.startswith("org--spam-fp32-plain-")
