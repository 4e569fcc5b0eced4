"""Workers: what they answer, every way they can die, and that nobody is left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from benchgate.core import CannotBeSent, DataError
from benchgate.machine import workers, zygotes

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="zygotes and /proc are Linux's")
SOON_S = 10.0


def gone(pid: int) -> bool:
    """True once the process ended, within SOON_S."""
    end = time.monotonic() + SOON_S
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def zygote() -> Iterator[zygotes.Zygote]:
    found = zygotes.Zygote(["json"])
    yield found
    found.close()


@pytest.fixture(params=["fresh", pytest.param("forked", marks=LINUX)])
def worker(request: pytest.FixtureRequest) -> Iterator[workers.Worker]:
    """A worker of each kind."""
    made = workers.start() if request.param == "fresh" else request.getfixturevalue("zygote").fork()
    yield made
    made.close()


def test_a_call_runs_there_and_answers(worker):
    assert worker.call(os.getpid) == worker.pid != os.getpid()
    assert worker.call(sorted, [3, 1, 2]) == [1, 2, 3]


# More than the 128 KiB that an argument may have on Linux.
MANY = ("json", "xml.etree.ElementTree") * 5000


@pytest.mark.parametrize("kind", ["fresh", pytest.param("forked", marks=LINUX)])
def test_as_many_modules_as_a_framework_has_are_imported_before(kind):
    if kind == "fresh":
        with workers.start(MANY) as worker:
            assert worker.call(loaded)
    else:
        zygote = zygotes.Zygote(MANY)
        try:
            with zygote.fork() as worker:
                assert worker.call(loaded)
        finally:
            zygote.close()


def loaded():
    return "xml.etree.ElementTree" in sys.modules and sys.stdin.read() == ""


def test_what_is_begun_in_two_workers_runs_at_once(zygote, tmp_path):
    def meet(own: str, other: str) -> bool:
        (tmp_path / own).touch()
        end = time.monotonic() + 10
        while not (tmp_path / other).exists() and time.monotonic() < end:
            time.sleep(0.01)
        return (tmp_path / other).exists()

    with zygote.fork() as one, workers.start() as two:
        answers = [one.begin(meet, "a", "b"), two.begin(meet, "b", "a")]
        assert [answer() for answer in answers] == [True, True]


def test_a_worker_that_ended_before_is_told_where_the_answer_is_waited_for(worker):
    with pytest.raises(workers.WorkerDied):
        worker.call(os._exit, 3)
    answer = worker.begin(os.getpid)
    with pytest.raises(workers.WorkerDied, match="exit code 3"):
        answer()


def test_functions_and_classes_of_a_function_travel(worker):
    class Local:
        def double(self, x: int) -> int:
            return 2 * x

    assert worker.call(lambda x: Local().double(x), 21) == 42


def test_an_error_of_ours_comes_back_as_it_was(worker):
    def fail() -> None:
        raise DataError("no such file")

    with pytest.raises(DataError, match=r"^no such file$"):
        worker.call(fail)
    assert worker.call(len, "it lives on") == 11


def test_any_other_error_has_the_workers_traceback(worker):
    def fail() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad") as raised:
        worker.call(fail)
    assert "in fail" in raised.value.__notes__[0]


def test_an_error_that_cannot_travel_is_told(worker):
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__("odd")

    def fail() -> None:
        raise Odd(1, 2)

    with pytest.raises(workers.WorkerRaised, match="Odd: odd"):
        worker.call(fail)


def test_what_cannot_be_sent(worker):
    lock = __import__("threading").Lock()
    with pytest.raises(CannotBeSent, match="cannot be sent to a process of its own"):
        worker.call(lambda: lock)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: ctypes.string_at(0), r"killed by signal 11 \(SIGSEGV\)"),
        (lambda: os._exit(7), "died with exit code 7"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"killed by signal 9 \(SIGKILL\)"),
        (lambda: os.abort(), r"killed by signal 6 \(SIGABRT\)"),
    ],
    ids=["segfault", "exit", "killed", "abort"],
)
def test_a_death_is_told(worker, end, said):
    with pytest.raises(workers.WorkerDied, match=said):
        worker.call(end)
    with pytest.raises(workers.WorkerDied):
        worker.call(len, "there is nobody")


def test_a_death_comes_with_the_last_lines(worker):
    def talk() -> None:
        for number in range(100_000):
            print(f"line {number} \x1b[31m", flush=False)
        sys.stdout.flush()
        os._exit(1)

    with pytest.raises(workers.WorkerDied, match="line 99999") as died:
        worker.call(talk)
    assert "\x1b" not in str(died.value)
    assert len(str(died.value)) < 2 * workers.TAIL_BYTES


def test_one_that_hangs_is_killed_in_time(worker):
    with pytest.raises(workers.WorkerTimeout, match=r"not done within 0.2 s"):
        worker.call(time.sleep, 600, timeout_s=0.2)
    assert gone(worker.pid)


@LINUX
def test_one_that_closes_its_pipe_is_killed(worker, monkeypatch):
    monkeypatch.setattr(workers, "END_S", 0.2)

    def hide() -> None:
        os.closerange(3, 200)
        time.sleep(600)

    with pytest.raises(workers.WorkerDied, match="closed its end of the pipe"):
        worker.call(hide)
    assert gone(worker.pid)


@LINUX
def test_what_it_forked_holds_nobody_up_and_ends_with_it(worker):
    def fork_and_die() -> None:
        if os.fork() == 0:
            time.sleep(600)
        os._exit(3)

    with pytest.raises(workers.WorkerDied, match="exit code 3"):
        worker.call(fork_and_die, timeout_s=SOON_S)


@LINUX
def test_memory_that_the_system_took_back_is_out_of_memory(worker, monkeypatch):
    counts = iter([4])
    monkeypatch.setattr(workers, "_memory_kills", lambda: next(counts))
    with pytest.raises(MemoryError, match="out of memory: was killed by signal 9"):
        worker.call(lambda: os.kill(os.getpid(), signal.SIGKILL))


@LINUX
def test_a_zygotes_death_is_the_death_of_its_workers():
    zygote = zygotes.Zygote([])
    worker = zygote.fork()
    os.kill(zygote.pid, signal.SIGKILL)
    with pytest.raises(workers.WorkerDied, match="SIGKILL"):
        worker.call(time.sleep, 600, timeout_s=SOON_S)
    with pytest.raises(zygotes.CannotFork):
        zygote.fork()
    zygote.close()


@LINUX
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()", "2 threads"),
        ("raise ImportError('no such library')", "cannot be imported: ImportError: no such library"),
    ],
    ids=["thread", "import-error"],
)
def test_a_zygote_that_is_unfit_says_so(tmp_path, monkeypatch, text, said):
    (tmp_path / "unfit.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(zygotes.CannotFork, match=said):
        zygotes.Zygote(["unfit"])


@LINUX
def test_the_zygotes_thread_setting_is_undone_in_its_workers(zygote, monkeypatch):
    assert zygote.fork().call(os.getenv, "OPENBLAS_NUM_THREADS") is None
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    other = zygotes.Zygote([])
    assert other.fork().call(os.getenv, "OPENBLAS_NUM_THREADS") == "3"
    other.close()


PARENT = """
import os, sys, time
from benchgate.machine import workers, zygotes
zygote = zygotes.Zygote([])
forked, fresh = zygote.fork(), workers.start()
print(zygote.pid, forked.pid, fresh.pid, flush=True)
forked.call(time.sleep, 600)
"""


@LINUX
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nobody_is_left_when_the_parent_ends(end, sigint_is_heard):
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 3
        parent.send_signal(end)
    assert all(gone(pid) for pid in pids)
