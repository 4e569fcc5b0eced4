"""`benchgate build`: which cells, sizes and times, what is skipped or fails, and the agreement with fp32."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from benchgate.core import (
    BenchgateError,
    Cell,
    DataError,
    Scheme,
    Unavailable,
    UnknownName,
    models,
    runtimes,
    schemes,
    support,
)
from benchgate.measuring import building
from benchgate.measuring.building import BEAMS, Agreement, Built, Difference
from benchgate.registration import load_builtin
from benchgate.report.building import print_built
from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites

DATA = Rewrites("two", "0" * 64, (Rewrite((), "paris weather", "weather"), Rewrite((), "and rome", "rome")), 2)


class Letters:
    """Texts are their characters' codes."""

    name, version, task = "letters", "1", "text2text"
    max_target = 20

    def encode(self, context, query):
        return [ord(c) for c in query]

    def decode(self, tokens):
        return "".join(map(chr, tokens))


class Shouting:
    """Echoes; with its scheme "loud" in capitals, with "some" only what has an o, and beams always echo."""

    name, format, needs = "shouting", "text", {}

    def missing(self, device):
        return None

    def build(self, model, scheme, out):
        if scheme.name == "gone":
            raise Unavailable("needs something that is not here")
        if scheme.name == "bad":
            raise DataError("weights are NaN")
        (out / "scheme").write_text(scheme.name)

    def load(self, path, model, device, threads):
        return ShoutingSession((path / "scheme").read_text())


class ReferenceTorch(Shouting):
    """What fp32 answers are taken from, by name."""

    name = "torch"


class ShoutingSession:
    def __init__(self, scheme):
        self.scheme, self.kernel, self.weights_bytes, self.identity = scheme, {}, None, ""

    def generate(self, sources, max_new_tokens, beams=1):
        change = {"fp32": str, "loud": str.upper, "some": lambda t: t.upper() if "o" in t else t}[self.scheme]
        return [[ord(c) for c in change("".join(map(chr, s)))] if beams == 1 else list(s) for s in sources]

    def close(self):
        self.scheme = None


support.session("shouting", "text2text", "tests.measuring.test_building:ShoutingSession", builder="")
support.compressor("shouting", "float", dtypes=("float32",))
for _method in ("loud", "some", "gone", "bad"):
    support.compressor("shouting", _method)


@pytest.fixture(autouse=True)
def letters():
    load_builtin()
    extra = [Scheme(name, 8, name) for name in ("loud", "some", "gone", "bad")]
    known = [schemes["fp32"], schemes["bf16"]]
    with models.replaced(Letters()), runtimes.replaced(Shouting(), ReferenceTorch()), schemes.replaced(*known, *extra):
        yield


def cell(scheme):
    return Cell("letters", scheme, "shouting", "cpu")


def printed(found, nonsense=None, width=100):
    out = io.StringIO()
    print_built(Console(file=out, width=width, highlight=False, markup=False), found, nonsense or Counter())
    return out.getvalue()


def test_all_cells_that_make_sense_and_why_the_others_do_not():
    cells, nonsense = building.plan("letters", [], ["shouting"])
    assert {c.scheme for c in cells} == {"fp32", "loud", "some", "gone", "bad"}
    assert nonsense == {"shouting has no bf16, only float32": 1}
    assert building.plan("letters", ["loud"], ["shouting"]) == ([cell("loud")], Counter())
    with pytest.raises(UnknownName, match="did you mean 'letters'"):
        building.plan("letter", [], [])
    with pytest.raises(UnknownName, match="unknown scheme 'quiet'"):
        building.plan("letters", ["quiet"], [])


def test_the_second_time_it_is_in_the_cache():
    first, second = building.build(cell("loud")), building.build(cell("loud"))
    assert first.seconds is not None
    assert first.seconds >= 0
    assert second.seconds is None
    assert second.path == first.path
    assert second.size_bytes == len("loud")
    assert "in the cache" in printed([second])


def test_what_cannot_be_had_is_skipped_and_what_breaks_has_failed():
    gone, bad = building.build(cell("gone")), building.build(cell("bad"))
    assert (gone.path, gone.reason, gone.failed) == (None, "needs something that is not here", False)
    assert (bad.path, bad.reason, bad.failed) == (None, "weights are NaN", True)
    text = printed([gone, bad], Counter({"shouting has no bf16, only float32": 2}))
    assert "letters-gone-shouting-cpu: skipped: needs something" in text
    assert "letters-bad-shouting-cpu: failed: weights are NaN" in text
    assert "left out, 2 x shouting has no bf16, only float32" in text
    many = printed([gone], Counter({f"no {i}": 2 for i in range(9)}))
    assert "left out, 18 combinations that make no sense; --scheme NAME says why" in many
    assert "no 3" not in many


def test_texts_are_counted_against_fp32_on_torch_and_differences_shown():
    found = [building.build(cell(scheme)) for scheme in ("fp32", "loud", "some", "gone")]
    exact, loud, some, gone = building.check(found, DATA)
    assert exact.agreement == Agreement(2, 2, 2, ())
    assert (loud.agreement.greedy, loud.agreement.beams) == (0, 2)
    assert some.agreement == Agreement(2, 1, 2, (Difference("and rome", "and rome", "AND ROME", 1),))
    assert gone.agreement is None
    lines = printed([exact, loud, some, gone]).splitlines()
    assert lines[0].endswith(f"greedy = fp32  {BEAMS} beams = fp32")
    assert any(line.startswith("letters-loud") and "0 of 2" in line and "2 of 2" in line for line in lines)
    assert "letters-some-shouting-cpu, greedy, 'and rome':" in lines
    assert "  here: AND ROME" in lines


def test_a_model_of_another_task_has_no_text_to_check(monkeypatch):
    built = Built(cell("fp32"), path=None)
    monkeypatch.setattr(models["letters"], "task", "causal-lm", raising=False)
    with pytest.raises(BenchgateError, match="--check compares reformulations; letters is for causal-lm"):
        list(building.check([built], DATA))


def test_the_command(monkeypatch, capsys, tmp_path):
    from benchgate.commands import main as cli
    from benchgate.tasks.text2text import rewrites

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rewrites, "load", lambda source: DATA)
    monkeypatch.setattr("benchgate.commands.suite.load", lambda names, parts: None)
    arguments = ["build", "letters", "--runtime", "shouting", "--scheme", "fp32", "--scheme", "some"]
    assert cli.main([*arguments, "--check", "2"]) == 0
    out = capsys.readouterr().out
    assert "letters-some-shouting-cpu" in out
    assert "1 of 2" in out
    assert cli.main([*arguments, "--scheme", "bad"]) == 1
    assert cli.main(["build", "lettres"]) == cli.UNUSABLE
    assert "did you mean 'letters'" in capsys.readouterr().err
