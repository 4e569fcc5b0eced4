"""Query reformulation over HTTP: what the API costs beside the model, latency by offered load, no answer mixed up.

The server is `benchgate serve` in a process of its own, the load generator `benchgate load` in another.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time

import aiohttp
import pytest

from benchgate.core import Cell
from benchgate.serving.process import connect, post, server_process
from benchgate.serving.reformulate import Reformulator, checked
from benchgate.tasks.text2text.rewrites import load

PAIRS = 300
RATES, CLIENTS, SECONDS = "25,50,100,200", "1,16", "5"
QUESTIONS = 10_000


@pytest.mark.cells(
    model="rewrite-t5", scheme=["fp32", "int8-dynamic"], runtime=["torch", "torchscript", "onnxruntime"], device="cpu"
)
@pytest.mark.benchmark(max_time=3)
def test_requests(cell, benchmark, tmp_path):
    """The median request takes less than 3 ms longer than the same query in this process; under load nothing fails."""
    with server_process(cell.cell) as server:
        result = cell.measure("request", meters=(), threads=1, server=server)
        cost = _cost_of_the_api(server, Reformulator(cell.model, cell.session))
        levels = _levels(server, tmp_path / "load.json")
    benchmark.extra_info["api"] = {"cost": cost, "load": levels}
    assert result["overhead_s"] > 0
    assert cost["p50_difference_s"] < 0.003
    assert all(level["failed"] == 0 for level in levels)


@pytest.mark.parametrize("requests_in_flight", [QUESTIONS])
def test_no_answer_is_lost_or_mixed_up(benchmark, requests_in_flight):
    """So many requests at once, each with a query of its own, on as many connections."""
    echo = Cell("echo", "fp32", "echo", "cpu")
    options = ("--queue", str(requests_in_flight), "--max-connections", "20000", "--timeout", "120")
    queries = [f"query number {number}" for number in range(requests_in_flight)]
    with server_process(echo, options) as server:
        answers = benchmark.pedantic(lambda: asyncio.run(_ask_all(server.url, queries)), rounds=1)
    assert answers == queries


def _cost_of_the_api(server, reformulator):
    """Seconds for each query through the API and in this process, in turn, so that the machine's moods hit both."""
    there, here = [], []
    connected = connect(server.url)
    for one in load("dev").items[:PAIRS]:
        start = time.perf_counter()
        post(connected, {"context": list(one.context), "query": one.query})
        between = time.perf_counter()
        reformulator(checked(one.context, one.query))
        there.append(between - start)
        here.append(time.perf_counter() - between)
    connected.close()
    return {
        "queries": len(here),
        "api_p50_s": statistics.median(there),
        "in_process_p50_s": statistics.median(here),
        "p50_difference_s": statistics.median(there) - statistics.median(here),
        "paired_median_s": statistics.median(a - b for a, b in zip(there, here, strict=True)),
    }


def _levels(server, file):
    """The figures of `benchgate load` by offered rate and by clients."""
    command = [sys.executable, "-m", "benchgate.commands.main", "load", server.url, "--json", str(file)]
    command += ["--rate", RATES, "--clients", CLIENTS, "--duration", SECONDS]
    subprocess.run(command, check=True)
    return json.loads(file.read_text())["levels"]


async def _ask_all(url, queries):
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def ask(query):
            async with session.post(f"{url}/v1/reformulate", json={"query": query}) as response:
                return (await response.json())["reformulation"]

        return await asyncio.gather(*map(ask, queries))
