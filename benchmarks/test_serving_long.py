"""A crowd for minutes, and one that sees the server stopped: no answer lost, mixed up or given twice, memory flat.

`pytest benchmarks/test_serving_long.py --full -s` takes 11 minutes. The model answers every query with itself at
once, so that the server is what works; clients are in this process, the server in one of its own.
"""

import asyncio
import os
import re
import signal
import time
import urllib.request
from collections import Counter

import psutil
import pytest

from benchgate.core import Cell
from benchgate.serving.process import server_process

pytestmark = pytest.mark.full
ECHO = Cell("echo", "fp32", "echo", "cpu")
CLIENTS, SECONDS, QUESTIONS = 512, 600.0, 100_000
# Memory is looked at from here on: until then the server has met its first crowd.
SETTLED_S, FLAT = 30.0, 0.05
STOPPED_S = 10.0
# Of a stopped server a client hears its answer, that it stops, or that nothing listens any more: never a cut line.
AFTER_STOP = {"200", "429", "503", "ClientConnectorError"}


async def crowd(url, seconds, beside):
    """(outcomes by status, how many answers were another's, what `beside` returned) of clients that ask so long."""
    import aiohttp

    said, wrong, until = Counter(), 0, time.monotonic() + seconds
    connector, total = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=total) as session:

        async def one(client):
            nonlocal wrong
            number = 0
            while time.monotonic() < until:
                query = f"query {client}.{number}"
                number += 1
                try:
                    async with session.post(f"{url}/v1/reformulate", json={"query": query}) as response:
                        answer = await response.json()
                        status = str(response.status)
                        wrong += status == "200" and answer["reformulation"] != query
                except (aiohttp.ClientError, OSError) as error:
                    status = type(error).__name__
                said[status] += 1
                if status not in ("200", "429", "503"):
                    return

        told, *_ = await asyncio.gather(beside, *map(one, range(CLIENTS)))
    return said, wrong, told


def answered_by_the_model(url):
    """Queries in all batches so far, by the server's own count."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as response:
        found = re.search(r"^benchgate_batch_size_sum (\S+)$", response.read().decode(), re.M)
    return int(float(found[1]))


async def sizes_of(pid):
    """Resident bytes of the process in each second after it has settled, to the end."""
    process, found = psutil.Process(pid), []
    await asyncio.sleep(SETTLED_S)
    for _ in range(int(SECONDS - SETTLED_S)):
        found.append(process.memory_info().rss)
        await asyncio.sleep(1)
    return found


async def stopped(pid):
    """SIGTERM in the middle."""
    await asyncio.sleep(STOPPED_S)
    os.kill(pid, signal.SIGTERM)


def test_minutes_of_a_crowd(capsys):
    """Every answer is there, is its own and was made once; what the queue has no room for is told; memory is flat."""
    with server_process(ECHO) as server:
        load = os.getloadavg()[0]
        said, wrong, sizes = asyncio.run(crowd(server.url, SECONDS, sizes_of(server.pid)))
        made = answered_by_the_model(server.url)
    with capsys.disabled():
        print(f"\n{CLIENTS} clients, {SECONDS:g} s, load {load:.1f}: {dict(said)}, {made} made, {wrong} wrong")
        print(f"resident after {SETTLED_S:g} s: {min(sizes) / 1e6:.1f} to {max(sizes) / 1e6:.1f} MB")
    assert said["200"] >= QUESTIONS
    assert (said["200"], wrong) == (made, 0)
    assert set(said) <= {"200", "429"}
    assert max(sizes) <= (1 + FLAT) * min(sizes)


def test_a_crowd_that_sees_the_server_stopped(capsys):
    """What was taken is answered, the rest is told that it stops; the exit code is 0 (see `server_process`)."""
    with server_process(ECHO) as server:
        said, wrong, _ = asyncio.run(crowd(server.url, 2 * STOPPED_S, stopped(server.pid)))
    with capsys.disabled():
        print(f"\nstopped after {STOPPED_S:g} s among {CLIENTS} clients: {dict(said)}, {wrong} wrong")
    assert said["200"] > 0
    assert wrong == 0
    assert set(said) <= AFTER_STOP
