"""The pool: forks where that is safe, fresh interpreters and the reason where not, and a killed zygote replaced."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from benchgate.executors.pool import Pool
from benchgate.machine import workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="zygotes are Linux's")


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool({"BENCHGATE_TEST": "yes"})
    yield made
    made.close()


def parent(worker: workers.Worker) -> int:
    return worker.call(os.getppid)


def test_workers_of_one_set_of_packages_share_a_zygote(pool):
    with pool.worker(["json"], "cpu") as one, pool.worker(["json"], "cpu") as two, pool.worker([], "cpu") as three:
        assert parent(one) == parent(two) != parent(three)
        assert one.fresh == ""
        assert one.call(os.getenv, "BENCHGATE_TEST") == "yes"


def test_a_device_with_a_driver_gets_a_fresh_interpreter(pool):
    with pool.worker([], "cuda") as worker:
        assert parent(worker) == os.getpid()
        assert worker.fresh == "a process with cuda in it is not forked"


def test_a_package_that_starts_threads_gets_fresh_interpreters(pool, tmp_path, monkeypatch):
    text = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
    (tmp_path / "threads.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pool.worker(["threads"], "cpu") as worker:
        assert worker.fresh == "2 threads after the imports"
        assert worker.call(lambda: "threads" in __import__("sys").modules)


def test_a_killed_zygote_is_replaced(pool):
    with pool.worker([], "cpu") as worker:
        os.kill(parent(worker), signal.SIGKILL)
    with pool.worker([], "cpu") as worker:
        assert worker.call(len, "four") == 4
        assert worker.fresh == ""
