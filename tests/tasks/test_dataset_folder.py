"""Folders of `datasets`: the same rows from every format, and a message for what is none."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError

import pytest

from benchgate.core import DataError
from benchgate.tasks import dataset_folder
from benchgate.tasks.causal_lm import passages

ROWS = [{"text": f"the crew came {word}"} for word in ("home", "late", "back", "soon")]
PAIRS = tuple(("the crew came", row["text"].split()[-1]) for row in ROWS)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path, rows):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def write_arrow(path, rows):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pylist(rows)
    with path.open("wb") as out, pyarrow.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)


FORMATS = {".jsonl": write_jsonl, ".parquet": write_parquet, ".arrow": write_arrow}


@pytest.mark.parametrize("inside", [".", "data"])
@pytest.mark.parametrize(("suffix", "write"), FORMATS.items())
def test_all_files_of_a_split_are_read_in_their_order(tmp_path, inside, suffix, write):
    folder = tmp_path / "mine"
    (folder / inside).mkdir(parents=True)
    for number, part in enumerate((ROWS[:3], ROWS[3:])):
        write(folder / inside / f"test-0000{number}-of-00002{suffix}", part)
    found = passages.load(folder)
    assert (found.name, found.items, found.total) == ("mine", PAIRS, 4)
    before = found.sha256
    write(folder / inside / f"test-00001-of-00002{suffix}", [{"text": "the crew came never"}])
    assert passages.load(folder).sha256 != before


def test_several_splits_are_refused_by_name(tmp_path):
    for split in ("train", "test"):
        write_jsonl(tmp_path / f"{split}-00000-of-00001.jsonl", ROWS)
    with pytest.raises(DataError, match="has several splits: test, train; give a folder of one of them"):
        passages.load(tmp_path)


def test_a_saved_dictionary_of_splits_names_its_folders(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    with pytest.raises(DataError, match=r"no \.arrow, .* but folders: test, train; give one of them"):
        passages.load(tmp_path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize(
    ("installed", "said"), [(None, "pyarrow is not installed"), ("14.0.2", "pyarrow 14, which unpickles what it reads")]
)
def test_without_a_pyarrow_that_is_safe_it_says_what_to_install(tmp_path, monkeypatch, suffix, installed, said):
    def version(name):
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    (tmp_path / f"test{suffix}").write_bytes(b"PAR1")
    monkeypatch.setattr(dataset_folder, "version", version)
    with pytest.raises(DataError, match=rf"{said}; to read \{suffix}: pip install 'pyarrow>=15'"):
        passages.load(tmp_path)


def test_an_empty_folder_is_told_what_to_be(tmp_path):
    with pytest.raises(
        DataError, match=r"no \.arrow, \.parquet, \.jsonl file in it; give a folder that datasets saved"
    ):
        passages.load(tmp_path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_damaged_file_is_named(tmp_path, suffix):
    pytest.importorskip("pyarrow")
    (tmp_path / f"test{suffix}").write_bytes(b"no such thing at all")
    with pytest.raises(DataError, match=rf"test\{suffix}: cannot be read as \{suffix} .* give a folder"):
        passages.load(tmp_path)


def test_a_row_without_the_fields_is_named(tmp_path):
    pytest.importorskip("pyarrow")
    write_parquet(tmp_path / "test.parquet", [*ROWS, {"text": None}])
    with pytest.raises(DataError, match=r"test\.parquet, row 5: context and continuation must be texts"):
        passages.load(tmp_path)
