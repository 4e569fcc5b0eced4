"""The COCO downloader on a made-up archive and a made-up network."""

import hashlib
import zipfile

import pytest

from benchgate.storage.download import FetchError
from benchgate.tasks.detection.download import Archive, download_coco, main


@pytest.fixture
def served(tmp_path):
    """A zip on the "server", its description, and a getter that counts."""
    source = tmp_path / "server" / "val2017.zip"
    source.parent.mkdir()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("val2017/1.jpg", b"jpeg")
        archive.writestr("other/2.jpg", b"jpeg")
        archive.writestr("val2017/../../escaped.txt", b"no")
    content = source.read_bytes()
    description = Archive("http://host/val2017.zip", len(content), hashlib.sha256(content).hexdigest(), "val2017/")
    calls = []

    def get(url, target, sha256, size):
        calls.append((url, sha256, size))
        target.write_bytes(content)
        return target

    return description, get, calls


def test_unpacks_what_is_wanted_and_nothing_else(tmp_path, served):
    archive, get, calls = served
    folder = download_coco(tmp_path / "coco", (archive,), get)
    assert calls == [(archive.url, archive.sha256, archive.size)]
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*")) == [
        "val2017",
        "val2017.zip",
        "val2017/1.jpg",
    ]
    assert not (tmp_path / "escaped.txt").exists()


def test_what_is_there_is_not_fetched_again(tmp_path, served):
    archive, get, calls = served
    for _ in range(2):
        download_coco(tmp_path / "coco", (archive,), get)
    assert len(calls) == 1


def test_another_file_under_the_name_is_fetched_again(tmp_path, served):
    archive, get, calls = served
    folder = download_coco(tmp_path / "coco", (archive,), get)
    (folder / "val2017.zip").write_bytes(b"cut")
    download_coco(folder, (archive,), get)
    assert len(calls) == 2


def test_offline_says_what_to_do(tmp_path, served):
    def offline(url, target, sha256, size):
        raise FetchError(f"{url}: no network")

    with pytest.raises(FetchError, match=r"no network\n.*detection\.download .*\n.*copy val2017\.zip into"):
        download_coco(tmp_path / "coco", (served[0],), offline)


def test_archive_that_is_no_zip(tmp_path):
    archive = Archive("http://host/val2017.zip", 3, hashlib.sha256(b"abc").hexdigest(), "val2017/")
    with pytest.raises(FetchError, match="not a zip file"):
        download_coco(tmp_path, (archive,), lambda url, target, **_: target.write_bytes(b"abc"))


def test_command_line_wants_one_folder(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
