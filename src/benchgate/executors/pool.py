"""Workers by what they have imported: a zygote for each set of packages, a fork of it for each asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchgate.machine import workers
from benchgate.machine.workers import Worker
from benchgate.machine.zygotes import FORKING_DEVICES, CannotFork, Zygote


class Pool:
    """Zygotes of one run. `environment` is what all its processes have beside this one's."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        # preload -> its zygote, or why there is none
        self._zygotes: dict[tuple[str, ...], Zygote | str] = {}

    def worker(self, preload: Sequence[str], device: str) -> Worker:
        """A new worker with `preload` imported; `worker.fresh` says why it is no fork, "" where it is one."""
        if device not in FORKING_DEVICES:
            return workers.start(preload, self._environment, f"a process with {device} in it is not forked")
        key = tuple(dict.fromkeys(preload))
        zygote = self._zygotes.get(key)
        if zygote is None:
            zygote = self._zygotes[key] = self._zygote(key)
        if isinstance(zygote, Zygote):
            try:
                return zygote.fork()
            except CannotFork:
                # Somebody killed it: the next one is as good.
                zygote.close()
                zygote = self._zygotes[key] = self._zygote(key)
                if isinstance(zygote, Zygote):
                    return zygote.fork()
        return workers.start(key, self._environment, zygote)

    def _zygote(self, preload: tuple[str, ...]) -> Zygote | str:
        try:
            return Zygote(preload, self._environment)
        except CannotFork as reason:
            return str(reason)

    def close(self) -> None:
        """End all zygotes, and with them the workers that still run."""
        for zygote in self._zygotes.values():
            if isinstance(zygote, Zygote):
                zygote.close()
        self._zygotes.clear()
