"""Where an asset comes from but an archive: a URL, a local file, the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchgate.storage.assets import HubFile, LocalFile, PackageFile, UrlFile, fetch
from benchgate.storage.download import FetchError
from tests.storage.spam import CONTENT, MEMBER, asset


def test_a_file_at_a_url_is_resumed_over_two_fetches(site, pip_environment):
    site.files["/model.bin"], site.cut = CONTENT, 5000
    from_url = asset(UrlFile(f"{site.url}/model.bin"))
    with pytest.raises(
        FetchError, match=r"cannot fetch asset 'spam' \(http://.*\n  With a network: benchgate fetch spam"
    ):
        fetch(from_url)
    site.cut = None
    assert fetch(from_url).read_bytes() == CONTENT
    assert site.asked[-1] == ("/model.bin", "bytes=5000-")


def test_a_local_file_is_used_in_place(tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(CONTENT)
    assert fetch(asset(LocalFile(file))) == file


@pytest.mark.parametrize(("content", "found"), [(None, "absent"), (b"short", "corrupt"), (CONTENT[::-1], "corrupt")])
def test_a_local_file_that_is_not_the_pinned_one_is_refused_and_left_alone(tmp_path, content, found):
    file = tmp_path / "model.bin"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FetchError, match=f"asset 'spam': {file} is {found} .expected sha256 [0-9a-f]{{64}}"):
        fetch(asset(LocalFile(file)))
    assert content is None or file.read_bytes() == content


@pytest.mark.parametrize(
    ("source", "name", "text"),
    [
        (PackageFile("spam-lm", "1.0", MEMBER), "model.bin", "package spam-lm==1.0, spam_lm/model.bin"),
        (HubFile("org/name", "data/x.jsonl", "0123456789abcdef"), "x.jsonl", "hub org/name@01234567, data/x.jsonl"),
        (UrlFile("http://host/a/model.bin?x=1"), "model.bin", "http://host/a/model.bin?x=1"),
        (LocalFile(Path("/a/model.bin")), "model.bin", "local /a/model.bin"),
    ],
)
def test_a_source_tells_its_file_and_itself(source, name, text):
    assert (source.filename, str(source)) == (name, text)


def test_two_assets_of_the_same_file_name_do_not_meet():
    one, two = asset(UrlFile("http://a/model.bin"), b"1"), asset(UrlFile("http://b/model.bin"), b"2")
    assert one.path != two.path


def test_the_hub_offline_is_said_like_everything_else():
    pytest.importorskip("huggingface_hub", reason="comes with the torch extra")
    pytest.importorskip("httpx2")
    from_hub = asset(HubFile("org/name", "model.bin", "0123456789abcdef" * 2 + "01234567"))
    with pytest.raises(
        FetchError, match=r"cannot fetch asset 'spam' \(hub org/name@01234567, model.bin\): hub not reached"
    ):
        fetch(from_hub)


def test_without_the_hubs_package_the_install_command_is_said(monkeypatch):
    from benchgate.machine import packages

    monkeypatch.setattr(packages, "_installed", lambda name: False)
    with pytest.raises(FetchError, match=r"huggingface_hub is not installed; pip install 'benchgate\[torch\]'"):
        fetch(asset(HubFile("org/name", "model.bin", "0123456789abcdef")))
