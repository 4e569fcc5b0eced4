"""The server on a real socket: clients that hang, dribble, flood or leave; where it listens; how it ends."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from benchgate.core import BenchgateError
from benchgate.serving import waiting
from benchgate.serving.settings import Settings, listen, read_token
from tests.serving.fakes import EchoSession
from tests.serving.live import live, post, read_all, wait_for

# --- clients ---


def test_requests_sent_at_once_are_answered_in_order():
    with live() as server, server.connection() as client:
        client.sendall(post(b'{"query": "a"}') + post(b'{"query": "b"}') + post(b'{"query": "c"}', "connection: close"))
        received = read_all(client)
    assert [received.count(f'"reformulation":"{x}"'.encode()) for x in "ABC"] == [1, 1, 1]
    assert received.index(b'"A"') < received.index(b'"B"') < received.index(b'"C"')


@pytest.mark.parametrize("said", [b"", b"POST /v1/reformulate HTTP/1.1\r\nhost: x\r\n"], ids=["nothing", "half a head"])
def test_a_client_that_hangs_is_cut(said):
    with live(head_timeout_s=0.1) as server, server.connection() as client:
        client.sendall(said)
        assert read_all(client) == b""


def test_a_head_that_dribbles_in_is_cut():
    with live(head_timeout_s=0.2) as server, server.connection() as client:
        cut_after = 0
        with contextlib.suppress(ConnectionError):
            for cut_after in range(1, 500):  # noqa: B007
                client.sendall(b"G")
                time.sleep(0.01)
        assert cut_after < 499
        wait_for(lambda: not server.server.server_state.connections)


def test_an_idle_connection_is_closed_after_its_time():
    with live(keep_alive_s=0.1) as server, server.connection() as client:
        client.sendall(post(b'{"query": "a"}'))
        assert b'"A"' in read_all(client)


def test_a_head_without_end_is_refused():
    with live() as server, server.connection() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 40_000)
        assert b" 400 " in read_all(client)


def test_a_chunked_body_without_end_is_refused():
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    head = post(b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    with live() as server, server.connection() as client:
        client.sendall(head)
        answered = threading.Event()

        def flood() -> None:
            try:
                while not answered.is_set():
                    client.sendall(chunk)
            except OSError:
                return

        threading.Thread(target=flood, daemon=True).start()
        received = client.recv(65536)
        answered.set()
    assert b" 413 " in received


def test_more_connections_than_allowed_are_turned_away(monkeypatch):
    monkeypatch.setattr(waiting, "GRACE_S", 60.0)
    with live(max_connections=2) as server:
        kept = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(2)]
        wait_for(lambda: len(server.server.server_state.connections) == 2)
        with server.connection() as third:
            third.sendall(post(b'{"query": "a"}'))
            refused = read_all(third)
        for connected in kept:
            connected.close()
        wait_for(lambda: not server.server.server_state.connections)
        with server.connection() as again:
            again.sendall(post(b'{"query": "a"}', "connection: close"))
            assert b" 200 " in read_all(again)
    assert b" 503 " in refused
    assert b"retry-after: 1" in refused


def test_a_client_that_leaves_takes_its_work_with_it():
    session = EchoSession()
    session.gate.clear()
    with live(session) as server, server.connection() as first:
        first.sendall(post(b'{"query": "first"}', "connection: close"))
        assert session.entered.wait(5)
        with server.connection() as second:
            second.sendall(post(b'{"query": "second"}'))
            wait_for(lambda: server.batcher.waiting == 1)
        wait_for(lambda: server.batcher.waiting == 0)
        session.gate.set()
        assert b'"FIRST"' in read_all(first)
    assert session.batches == [1]


def test_what_is_answered_while_it_ends_says_that_the_connection_ends():
    """A client that does not know asks on in vain, and cannot tell what became of its question."""
    session = EchoSession()
    session.gate.clear()
    with live(session) as server, server.connection() as client, server.connection() as idle:
        client.sendall(post(b'{"query": "a"}'))
        assert session.entered.wait(5)
        server.server.should_exit = True
        wait_for(lambda: not server.batcher.ready)
        # It was on its way.
        idle.sendall(post(b'{"query": "b"}'))
        refused = read_all(idle)
        session.gate.set()
        answer = read_all(client)
    assert b'"A"' in answer
    assert b" 503 " in refused
    assert b"connection: close\r\n" in answer
    assert b"connection: close\r\n" in refused


def test_an_answer_does_not_wait_for_an_acknowledgement():
    with live() as server, server.connection() as connected:
        connected.sendall(post(b'{"query": "a"}'))
        wait_for(lambda: server.server.server_state.connections)
        (connection,) = server.server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# --- where it listens ---


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
def test_loopback_needs_no_token(host):
    with listen(host, 0, None) as listening:
        assert listening.getsockname()[1] > 0


def test_beyond_loopback_a_token_is_demanded():
    with pytest.raises(BenchgateError, match=r"there is no token; set \$BENCHGATE_TOKEN or --token-file"):
        listen("0.0.0.0", 0, None)
    listen("0.0.0.0", 0, "a-token-of-enough-length").close()


def test_a_port_in_use_is_told_by_number():
    with listen("127.0.0.1", 0, None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BenchgateError, match=f"port {port}: Address already in use; choose another --port"):
            listen("127.0.0.1", port, None)


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [("no.such.host.invalid", 0, "try --host"), ("1.2.3.4.5", 0, "try --host"), ("a" * 70, 1, "try --host"),
     ("127.0.0.1", 65536, "--port 65536"), ("127.0.0.1", -1, "--port -1")],
)  # fmt: skip
def test_an_address_that_is_none(host, port, said):
    with pytest.raises(BenchgateError, match=said):
        listen(host, port, "a-token-of-enough-length")


@pytest.mark.parametrize("value", [0, float("nan"), float("inf"), -1])
@pytest.mark.parametrize("limit", ["max_batch", "queue", "timeout_s", "max_bytes", "max_connections"])
def test_limits_are_numbers_above_zero(limit, value):
    with pytest.raises(BenchgateError, match=f"--{limit.removesuffix('_s').replace('_', '-')} {value:g}: more than 0"):
        Settings(**{limit: value})


# --- the token ---


def test_the_token_comes_from_a_file_or_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("BENCHGATE_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("BENCHGATE_TOKEN", "from-the-environment")
    assert read_token(None) == "from-the-environment"
    file = tmp_path / "token"
    file.write_text("from-the-file-of-the-user\n")
    assert read_token(file) == "from-the-file-of-the-user"


@pytest.mark.parametrize(
    "bad", ["", "short", "with spaces in the middle", "quote\"quote'quote", "new\nline-new-line-new"]
)
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(bad, tmp_path):
    file = tmp_path / "token"
    file.write_text(bad)
    with pytest.raises(BenchgateError, match="a token is at least 16") as refused:
        read_token(file)
    assert not bad or bad not in str(refused.value)


def test_a_token_file_that_is_not_there(tmp_path):
    with pytest.raises(BenchgateError, match=r"--token-file .* cannot be read"):
        read_token(tmp_path / "none")


def test_settings_do_not_show_the_token():
    assert "a-token" not in repr(Settings(token="a-token-of-enough-length"))


# --- the command, in a process of its own ---


def start(project: Path, environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchgate.commands.main", "serve", "echo-fp32-echoing-cpu", "--port", "0", *options],
        cwd=project,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(url: str, query: str) -> str:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{url}/v1/reformulate", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(json.load(response)["reformulation"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_ends_it_when_all_are_answered(project, environment, number):
    with start(project, {**environment, "ECHO_SECONDS": "0.3"}) as process:
        line = process.stderr.readline()
        assert "serving echo" in line
        url = line.split()[line.split().index("on") + 1]
        wait_for_ready(url)
        answers: list[str] = []
        clients = [threading.Thread(target=lambda i=i: answers.append(ask(url, f"q{i}"))) for i in range(8)]
        for client in clients:
            client.start()
        time.sleep(0.15)
        process.send_signal(number)
        for client in clients:
            client.join(10)
        rest = process.stderr.read()
    assert sorted(answers) == [f"Q{i}" for i in range(8)]
    assert (process.returncode, rest) == (0, "benchgate: stopped\n")


def test_a_model_that_cannot_be_loaded_is_one_line(project, environment):
    reason = "echo is not trained; run benchgate train echo"
    with start(project, {**environment, "ECHO_FAILS": reason}) as process:
        lines = process.stderr.read().splitlines()
    assert process.returncode == 2
    assert lines[1:] == [f"benchgate: {reason}"]


def wait_for_ready(url: str) -> None:
    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except urllib.error.URLError:
            return False

    wait_for(ready)
