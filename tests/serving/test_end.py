"""The end of `benchgate serve`: exit code 0 and no traceback, whenever the signals come and whatever the model does."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from tests.serving.live import post, read_all
from tests.serving.test_server import start, wait_for_ready


def port_of(process) -> int:
    words = process.stderr.readline().split()
    return int(words[words.index("on") + 1].rpartition(":")[2])


def get(port: int, path: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        return read_all(client)


@pytest.mark.parametrize(
    ("signals", "pause_s"),
    [([signal.SIGTERM], 0.0), ([signal.SIGINT, signal.SIGINT], 0.5)],
    ids=["SIGTERM", "Ctrl-C twice"],
)  # fmt: skip
def test_while_the_model_hangs_it_ends_with_zero(project, environment, signals, pause_s):
    with start(project, {**environment, "ECHO_SECONDS": "600"}, "--timeout", "1") as process:
        port = port_of(process)
        wait_for_ready(f"http://127.0.0.1:{port}")
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(post(b'{"query": "a"}'))
            # Any answer shows that what came before it has been taken.
            assert get(port, b"/healthz").startswith(b"HTTP/1.1 200")
            for number in signals:
                process.send_signal(number)
                time.sleep(pause_s)
            said = process.stderr.read()
            answer = read_all(client)
    assert b" 503 " in answer
    assert b"application/json" in answer
    assert (process.returncode, said.splitlines()[-1]) == (0, "benchgate: stopped")
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_as_soon_as_it_says_where_it_listens_ends_it_with_zero(project, environment, number):
    with start(project, environment) as process:
        process.stderr.readline()
        process.send_signal(number)
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "benchgate: stopped\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_again_and_again_until_it_is_gone_it_ends_with_zero(project, environment, number):
    with start(project, environment) as process:
        wait_for_ready(f"http://127.0.0.1:{port_of(process)}")
        # The interpreter's own end takes the longest part of it.
        while process.poll() is None:
            process.send_signal(number)
            time.sleep(0.0005)
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "benchgate: stopped\n")
