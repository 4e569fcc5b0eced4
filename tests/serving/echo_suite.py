"""The echo model as a project's own registration: what `benchgate serve` and `chat` find through its conftest.py.

ECHO_SECONDS is what a call of the model takes; ECHO_FAILS makes loading it fail with that text;
ECHO_MAX_SOURCE is how many tokens it reads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import benchgate
from benchgate.core import DataError, Model, Scheme
from tests.serving.fakes import EchoModel, EchoSession

benchgate.model(EchoModel(max_source=int(os.environ.get("ECHO_MAX_SOURCE", "100000"))))


@benchgate.runtime
@dataclass(frozen=True)
class EchoRuntime:
    name: str = "echoing"
    format: str = "none"
    needs: Mapping[str, str] = field(default_factory=dict)

    def missing(self, device: str) -> str | None:
        return None

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        if reason := os.environ.get("ECHO_FAILS"):
            raise DataError(reason)
        (out / "echo").write_bytes(b"echo")

    def load(self, path: Path, model: Model, device: str, threads: int) -> EchoSession:
        return EchoSession(float(os.environ.get("ECHO_SECONDS", "0")))


def other_than_echo(model: Model, scheme: Scheme, runtime: str) -> str | None:
    """Why the runtime does not take this model, or None."""
    return None if model.name == "echo" else "runs only echo"


benchgate.support.session(
    "echoing", "text2text", "tests.serving.fakes:EchoSession", refuses="tests.serving.echo_suite:other_than_echo"
)
benchgate.support.compressor("echoing", benchgate.support.ANY)
