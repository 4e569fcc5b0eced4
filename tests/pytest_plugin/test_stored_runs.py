"""What the runs that are stored say of a run to come."""

from __future__ import annotations

import json
from types import SimpleNamespace

from benchgate.gate.suspicion import TIME
from benchgate.pytest_plugin import benchmark_adapter, stored_runs
from tests.builders import KEY, a_record


def stored(path, seconds):
    extra = {"benchgate": a_record({TIME: seconds}).as_dict()}
    bench = {"fullname": KEY, "name": "x", "stats": {}, "extra_info": extra}
    path.write_text(json.dumps({"machine_info": {}, "benchmarks": [bench]}), encoding="utf-8")


def test_a_test_that_was_slower_in_the_newest_run_is_suspected_and_a_broken_file_is_none(tmp_path, monkeypatch):
    for number, seconds in enumerate((1.0, 1.0, 1.5)):
        stored(tmp_path / f"000{number}_run.json", seconds)
    (tmp_path / "0003_run.json").write_text("{", encoding="utf-8")
    storage = SimpleNamespace(query=lambda name: sorted(tmp_path.glob("*.json")))
    monkeypatch.setattr(benchmark_adapter, "storage", lambda config: storage)
    assert stored_runs.suspicion_of_tests(SimpleNamespace()).keys() == {KEY}
    storage.query = lambda name: []
    assert stored_runs.suspicion_of_tests(SimpleNamespace()) == {}
