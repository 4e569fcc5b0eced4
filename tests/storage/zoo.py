"""A project of models in a module of its own, which another session imports anew, and a runtime that counts."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from benchgate.core import Scheme

FP32 = Scheme("fp32", 32, "float")
NAME = "zoo"

ZOO = """
import functools
import json
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import zoo_helper

HERE = Path(__file__).parent
HIDDEN = 4
NAMED = "small"

@dataclass(frozen=True)
class State:
    values: tuple

    def state_dict(self):
        return {"w": np.array(self.values)}

@dataclass(frozen=True)
class Seeded:
    seed: int = 0
    name: str = "m"
    version: str = "1"
    task: str = "x"

    def build(self):
        return State((self.seed, HIDDEN))

class Helped(Seeded):
    def build(self):
        return State((zoo_helper.scale(2),))

class Reading(Seeded):
    def build(self):
        return State(tuple(json.loads((HERE / "data" / "weights.json").read_text())))

class Arrays(Seeded):
    def build(self):
        return State(tuple(np.load(HERE / "data" / "weights.npy")))

class Given(Seeded):
    def build(self):
        return State(tuple(self.make()))

def given(make):
    model = Given()
    object.__setattr__(model, "make", make)
    return model

def closing_over(value):
    return given(lambda: (value, 1))

def with_default(value):
    def make(n=value):
        return (n,)
    return given(make)

def partly(value):
    return given(functools.partial(range, value))

@dataclass(frozen=True)
class File:
    path: Path
    name: str = "m"
    version: str = "1"
    task: str = "x"
"""
HELPER = "import zoo_deeper\ndef scale(x):\n    return zoo_deeper.FACTOR * x\n"
DEEPER = "FACTOR = 3\n"


def forget() -> None:
    for name in (NAME, "zoo_helper", "zoo_deeper"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def load() -> ModuleType:
    forget()
    return importlib.import_module(NAME)


class Plain:
    """A runtime that writes what the model builds, and counts."""

    name, format = "plain", "json"
    needs: dict[str, str] = {}  # noqa: RUF012

    def build(self, model, scheme, out):
        built = str(model.build()) if hasattr(model, "build") else model.path.name
        (out / "model.txt").write_text(built)


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
