"""A server in a process of its own, and the operation that times its requests."""

from __future__ import annotations

import os

import pytest

from benchgate.core import BenchgateError, Cell, operations
from benchgate.serving.process import ServerProcess, connect, post, server_process
from benchgate.serving.request import request
from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites
from benchgate.tasks.text2text.task import Text2TextTask
from tests.serving.fakes import EchoModel, EchoSession
from tests.serving.live import live

CELL = Cell("echo", "fp32", "echoing", "cpu")


QUERIES = Rewrites("three", "0", tuple(Rewrite((f"c{i}",), f"q{i}", "-") for i in range(3)), 3)


def test_a_request_is_timed_beside_the_models_own_time():
    with live(EchoSession(seconds=0.02)) as server:
        call = request(EchoSession(), EchoModel(), QUERIES, ServerProcess(server.url, 1)).started()
        answers = [call() for _ in range(4)]
    assert [answer.output["reformulation"] for answer in answers] == ["C0\nQ0", "C1\nQ1", "C2\nQ2", "C0\nQ0"]
    assert all(answer.laps["inference_s"] >= 0.02 for answer in answers)
    assert all(answer.laps["overhead_s"] > 0 for answer in answers)


def test_it_is_an_operation_of_the_task_and_the_port_is_no_parameter():
    assert "request" not in Text2TextTask.operations
    assert operations(Text2TextTask())["request"] is request
    assert str(ServerProcess("http://127.0.0.1:1", 1)) == str(ServerProcess("http://127.0.0.1:2", 2))


def test_an_answer_that_is_none_is_no_time():
    with live() as server, pytest.raises(BenchgateError, match=r"answers 422: .*query is empty"):
        post(connect(server.url), {"query": " "})


@pytest.fixture
def _here(project, environment, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])


@pytest.mark.usefixtures("_here")
def test_a_server_of_its_own_is_ready_and_ends():
    with server_process(CELL, ["--max-batch", "4"]) as server:
        assert post(connect(server.url), {"query": "a"})["reformulation"] == "A"
    with pytest.raises(OSError, match="refused"):
        connect(server.url).request("GET", "/healthz")


@pytest.mark.usefixtures("_here")
def test_a_server_that_does_not_start_says_why(monkeypatch):
    monkeypatch.setitem(os.environ, "ECHO_FAILS", "echo is not trained")
    with pytest.raises(BenchgateError, match="echo is not trained"), server_process(CELL):
        raise AssertionError("it never is ready")
