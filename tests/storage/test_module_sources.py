"""The modules that a module's source names: looked for once, read each time."""

from __future__ import annotations

from importlib.machinery import PathFinder

from benchgate.storage.sources import sources


def test_names_are_looked_for_once_and_files_are_read_each_time(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "names_another.py").write_text("from named_by_it import Thing\nimport math.nothing\n")
    (tmp_path / "named_by_it.py").write_text("class Thing: ...\n")
    first = sources(["names_another"])
    assert list(first) == ["named_by_it", "names_another"]
    looked = []
    find = PathFinder.find_spec
    monkeypatch.setattr(PathFinder, "find_spec", lambda *given: looked.append(given) or find(*given))
    assert sources(["names_another"]) == first
    (tmp_path / "named_by_it.py").write_text("class Thing: size = 2\n")
    second = sources(["names_another"])
    assert looked == []
    assert {name for name in first if first[name] != second[name]} == {"named_by_it"}


def test_the_working_folder_decides_what_an_empty_entry_of_the_path_is(monkeypatch, tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lies_here.py").write_text(f"HERE = {name!r}\n")
    monkeypatch.syspath_prepend("")
    found = []
    for name in ("one", "other"):
        monkeypatch.chdir(tmp_path / name)
        found.append(sources(["lies_here"])["lies_here"])
    assert found[0] != found[1]
