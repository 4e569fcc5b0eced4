"""The cells that tests ask for, as sides to calibrate: two pytests collect the same tests, one for each side of a pair.

Two, as a version's cells come from a zygote of its own: of one alone the spread between zygotes would not be seen.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchgate.core import BenchgateError, Cell
from benchgate.executors import wire
from benchgate.executors.peer import Peer, PeerLoad, PeerTeam, Start
from benchgate.executors.versions import BUILD_S, PROVE_S
from benchgate.gate.side_by_side.pairs import Side, Team

ARGUMENTS = ("-p", "no:cacheprovider", "-p", "no:randomly", "-q")
NAMES = ("first", "second")


@dataclass(frozen=True)
class Collected:
    """Sides by `cell operation`, built and ready; `crew` gives the workers of a side, of either pytest in turn."""

    sides: Mapping[str, Side]
    crew: Callable[[Side, int], Team]


@contextlib.contextmanager
def cells_of_tests(tests: Sequence[str], word: str, folder: Path) -> Iterator[Collected]:
    """The cells of these tests (files, folders, ids) whose id has `word`; several of one cell and operation are one.

    Raises BenchgateError where no test asks for a cell, with why.
    """
    arguments = (*ARGUMENTS, *(("-k", word) if word else ()), *tests)
    with contextlib.ExitStack() as stack:
        peers = [Peer(Start(name, sys.executable, folder, arguments)) for name in NAMES]
        for peer in peers:
            stack.callback(peer.close)
        for peer in peers:
            peer.greet()
        sides = _sides(peers)
        turn = itertools.cycle(peers)
        yield Collected(sides, lambda side, seed: PeerTeam(next(turn), side, seed))


def _sides(peers: Sequence[Peer]) -> dict[str, Side]:
    first = peers[0]
    for peer in peers:
        peer.send("capture", tests=list(peer.tests))
    told = [peer.hear(PROVE_S) for peer in peers]
    found: dict[str, Side] = {}
    why = dict(first.failed)
    for test in first.tests:
        if "asked" not in told[0][test]:
            why[test] = str(told[0][test]["why"])
            continue
        asked = wire.asked(told[0][test]["asked"])
        name = f"{Cell(**asked.cell)} {asked.operation}"
        if name not in found:
            first.send("build", test=test)
            first.hear(BUILD_S)
            found[name] = Side(PeerLoad(test), device=asked.cell["device"], threads=asked.threads)
    if not found:
        reasons = "; ".join(f"{test}: {reason}" for test, reason in list(why.items())[:3])
        raise BenchgateError(f"no test here asks for a cell{': ' + reasons if reasons else ''}; try another -k")
    return found
