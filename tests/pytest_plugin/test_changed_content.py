"""A model that changes behind its name and version is measured anew and held against the old one's figures."""

import pytest

ZOO = """
import json
from dataclasses import dataclass
from pathlib import Path

import benchgate
import zoo_helper
from benchgate import Metric

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Seeded:
    name: str = "seeded"
    version: str = "1"
    task: str = "guessing"
    seed: int = 0

    def build(self):
        return [0.9 - 0.1 * self.seed]


@dataclass(frozen=True)
class Helped(Seeded):
    name: str = "helped"

    def build(self):
        return [zoo_helper.accuracy()]


@dataclass(frozen=True)
class File:
    name: str
    path: Path
    version: str = "1"
    task: str = "guessing"


@dataclass(frozen=True)
class Reading(Seeded):
    name: str = "reading"

    def build(self):
        return json.loads((HERE / "saved" / "weights.json").read_text())


for model in (Seeded(), Helped(), Reading(), File("file", HERE / "model.onnx"), File("folder", HERE / "saved")):
    benchgate.model(model)


@benchgate.task
class Guessing:
    name = "guessing"
    unit = "guesses"

    def sample(self, model, batch):
        return batch

    def score(self, session, model, data):
        return {"accuracy": Metric(session.accuracy, "1", "higher", 50, method="made up")}


class Session:
    def __init__(self, text):
        self.kernel, self.weights_bytes, self.identity = {"weights": {"dense": 1}}, len(text), ""
        self.accuracy = json.loads(text)[0]

    def __call__(self, batch):
        return batch

    def close(self):
        pass


@benchgate.runtime
@dataclass(frozen=True)
class Reader:
    name: str = "reader"
    format: str = "json"
    needs: tuple = ()

    def __post_init__(self):
        object.__setattr__(self, "needs", {})

    def missing(self, device):
        return None

    def build(self, model, scheme, out):
        path = getattr(model, "path", None)
        if path is None:
            text = json.dumps(model.build())
        else:
            text = (path / "weights.json" if path.is_dir() else path).read_text()
        (out / "model.json").write_text(text)

    def load(self, path, model, device, threads):
        return Session((path / "model.json").read_text())


benchgate.support.session("reader", "guessing", "zoo:Session", builder="")
benchgate.support.compressor("reader", "float")
"""
TEST = """
import pytest

@pytest.mark.cells(model=["seeded", "helped", "reading", "file", "folder"], scheme="fp32", runtime="reader")
def test_guesses(cell):
    cell.measure(meters=())
"""
# Model by name, and the file whose text is edited, from what to what.
CHANGES = {
    "seeded": ("zoo.py", "seed: int = 0", "seed: int = 3"),
    "helped": ("zoo_helper.py", "0.9", "0.6"),
    "reading": ("saved/weights.json", "0.9", "0.6"),
    "file": ("model.onnx", "[0.9]", "[0.6]" + " " * 2000),
    "folder": ("saved/weights.json", "[0.9]", "[0.6, 1, 2, 3]"),
}


@pytest.fixture
def zoo(project):
    project.write("zoo.py", ZOO)
    project.write("zoo_helper.py", "def accuracy():\n    return 0.9\n")
    project.write("model.onnx", "[0.9]")
    project.write("saved/weights.json", "[0.9]")
    conftest = (project.path / "conftest.py").read_text()
    project.write("conftest.py", conftest.replace('["suite"]', '["zoo"]'))
    project.write("test_it.py", TEST)
    return project


@pytest.mark.parametrize("model", CHANGES)
def test_it_is_measured_anew_and_compared(zoo, model):
    key = f"test_guesses[{model}-fp32-reader-cpu]"
    select = ("--benchmark-disable", f"--cell-model={model}")
    zoo.run(*select, "--benchmark-json=base.json").assert_outcomes(passed=1)
    name, old, new = CHANGES[model]
    text = (zoo.path / name).read_text()
    assert old in text
    zoo.write(name, text.replace(old, new))
    result = zoo.run(*select, "--benchmark-compare=base.json", "--benchmark-json=new.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*accuracy regressed: 0.900 -> 0.600*"])
    before, now = (zoo.records(file)[key] for file in ("base.json", "new.json"))
    assert before["version"] == now["version"]
    assert before["details"]["content"] != now["details"]["content"]


def test_what_did_not_change_is_the_same_content_in_another_session(zoo):
    select = ("--benchmark-disable", "--benchmark-json")
    for file in ("base.json", "new.json"):
        zoo.run(*select, file).assert_outcomes(passed=5)
    contents = [[r["details"]["content"] for r in zoo.records(file).values()] for file in ("base.json", "new.json")]
    assert contents[0] == contents[1]
    assert all(content.startswith(("files:", "source:")) for content in contents[0])
