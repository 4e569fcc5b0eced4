"""The user's package index: its settings as pip has them, the file found, one member read and nothing run."""

from __future__ import annotations

import errno
import io
import tarfile

import pytest

from benchgate.storage import package_index
from benchgate.storage.download import FetchError
from benchgate.storage.package_index import IndexSettings, find, open_member, parse_settings
from tests.loopback import sdist, wheel

DEFAULT = "https://index.test/simple"


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("", IndexSettings(DEFAULT)),
        ("global.index-url='http://g'", IndexSettings("http://g")),
        ("global.index-url='http://g'\ndownload.index-url='http://d'", IndexSettings("http://d")),
        (
            ":env:.index-url='http://e'\ndownload.index-url='http://d'\nglobal.index-url='http://g'",
            IndexSettings("http://e"),
        ),
        ("install.index-url='http://i'", IndexSettings(DEFAULT)),
        (
            "global.extra-index-url='http://a http://b'\n:env:.extra-index-url='http://b http://c'",
            IndexSettings(DEFAULT, extra_index_urls=("http://a", "http://b", "http://c")),
        ),
        # several lines in pip.conf; pip lists them as a Python string
        (
            "global.extra-index-url='\\nhttp://a\\nhttp://b'",
            IndexSettings(DEFAULT, extra_index_urls=("http://a", "http://b")),
        ),
        ("global.find-links='/wheels'", IndexSettings(DEFAULT, find_links=("/wheels",))),
        ("global.find-links='C:\\\\wheels'", IndexSettings(DEFAULT, find_links=("C:\\wheels",))),
        ("global.trusted-host='a:8080 b'", IndexSettings(DEFAULT, trusted_hosts=("a:8080", "b"))),
        (":env:.no-index='1'", IndexSettings(DEFAULT, no_index=True)),
        ("global.no-index='true'", IndexSettings(DEFAULT, no_index=True)),
        (":env:.no-index='0'\nglobal.no-index='1'", IndexSettings(DEFAULT)),
        (
            "global.cert='/ca.pem'\nglobal.proxy='http://p'",
            IndexSettings(DEFAULT, client={"verify": "/ca.pem", "proxy": "http://p"}),
        ),
        ("global.client-cert='/me.pem'", IndexSettings(DEFAULT, client={"cert": "/me.pem"})),
        ("global.index-url='http://user:p=w@host/simple'", IndexSettings("http://user:p=w@host/simple")),
        ('global.index-url="http://it\'s/simple"', IndexSettings("http://it's/simple")),
        ("a line that is none\n\nglobal.timeout='60'", IndexSettings(DEFAULT)),
    ],
)
def test_pips_settings_environment_over_download_over_global_lists_added_up(listing, expected):
    assert parse_settings(listing, DEFAULT) == expected


def test_the_settings_are_those_of_the_users_own_pip(pip_environment, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = http://file/simple\nextra-index-url =\n    http://one/simple\n    http://two/simple\n"
    )
    pip_environment.setenv("PIP_CONFIG_FILE", str(config))
    pip_environment.setenv("PIP_INDEX_URL", "http://environment/simple")
    settings = package_index.pip_settings()
    assert settings.index_url == "http://environment/simple"
    assert {"http://one/simple", "http://two/simple"} <= set(settings.extra_index_urls)


def test_without_pip_the_way_to_get_it_is_said(monkeypatch):
    monkeypatch.setattr(package_index.sys, "executable", "/bin/false")
    with pytest.raises(FetchError, match="python -m ensurepip"):
        package_index.pip_settings()


# Finding

SPAM_WHEEL = "spam_lm-1.0-py3-none-any.whl"
SPAM_SDIST = "spam_lm-1.0.tar.gz"


@pytest.fixture
def settings(site, pip_environment):
    return IndexSettings(f"{site.url}/simple", trusted_hosts=("127.0.0.1",))


@pytest.mark.parametrize(("sdist_wanted", "filename"), [(False, SPAM_WHEEL), (True, SPAM_SDIST)])
@pytest.mark.parametrize("project", ["spam-lm", "Spam_LM"])
def test_the_wheel_or_sdist_of_exactly_that_version_is_found_with_its_hash(
    site, settings, project, sdist_wanted, filename
):
    for name in (SPAM_WHEEL, SPAM_SDIST):
        site.add_package("spam-lm", name, b"content", sha256="ab" * 32)
        site.add_package("spam-lm", name.replace("1.0", "1.1"), b"newer")
    url, sha256, _ = find(project, "1.0", sdist_wanted, settings)
    assert (url.partition("#")[0], sha256) == (f"{site.url}/files/{filename}", "ab" * 32)


def test_a_wheel_of_another_platform_is_found_too(site, settings):
    site.add_package("spam-lm", "spam_lm-1.0-cp27-cp27m-win32.whl", b"content")
    assert find("spam-lm", "1.0", False, settings)[0].startswith(f"{site.url}/files/spam_lm-1.0-cp27")


@pytest.mark.parametrize(("version", "sdist_wanted", "kind"), [("2.0", False, "wheel"), ("1.0", True, "sdist")])
def test_what_the_index_has_not_is_said_with_the_index(site, settings, version, sdist_wanted, kind):
    site.add_package("spam-lm", SPAM_WHEEL, b"content")
    with pytest.raises(
        FetchError, match=rf"no {kind} of spam-lm=={version} in the package index \({site.url}/simple\)"
    ):
        find("spam-lm", version, sdist_wanted, settings)


def test_a_project_that_the_index_does_not_know_is_said(settings):
    with pytest.raises(FetchError, match=r"no wheel of ham==1\.0"):
        find("ham", "1.0", False, settings)


def test_an_index_that_cannot_be_reached_is_an_error_of_ours(refused, pip_environment):
    with pytest.raises(FetchError, match=r"spam-lm==1\.0"):
        find("spam-lm", "1.0", False, IndexSettings(f"{refused}/simple"))


@pytest.mark.parametrize("as_url", [True, False])
def test_a_find_links_folder_serves_without_any_index(tmp_path, pip_environment, as_url):
    (tmp_path / SPAM_WHEEL).write_bytes(b"content")
    links = (tmp_path.as_uri() if as_url else str(tmp_path),)
    url, sha256, _ = find("spam-lm", "1.0", False, IndexSettings("http://not.asked", find_links=links, no_index=True))
    assert (url, sha256) == ((tmp_path / SPAM_WHEEL).as_uri(), None)


def test_without_index_and_without_the_file_find_links_is_named(tmp_path, pip_environment):
    with pytest.raises(FetchError, match="find-links only"):
        find("spam-lm", "1.0", False, IndexSettings("http://not.asked", find_links=(str(tmp_path),), no_index=True))


# Reading one member

MEMBERS = {"spam/model.bin": bytes(range(256)) * 300, "spam/other.txt": b"other"}
ARCHIVES = {"spam.whl": wheel(MEMBERS), "spam.tar.gz": sdist(MEMBERS)}


@pytest.fixture(params=list(ARCHIVES))
def archive(request, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(ARCHIVES[request.param])
    return path


@pytest.mark.parametrize("member", list(MEMBERS))
def test_a_member_is_read_as_it_is(archive, member):
    with open_member(archive, member) as stream:
        assert stream.read() == MEMBERS[member]


@pytest.mark.parametrize("member", ["spam/absent.bin", "spam", "", "/spam/model.bin", "../spam/model.bin"])
def test_only_the_exact_member_is_read(archive, member):
    with pytest.raises(FetchError, match=rf"{archive.name} has no file '{member}'"), open_member(archive, member):
        pass


@pytest.mark.parametrize("kept", [0.5, 0.1])
def test_a_truncated_archive_is_said_with_what_to_delete(archive, kept):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * kept)])
    with (
        pytest.raises(FetchError, match=r"is not a readable archive .*; try again"),
        open_member(archive, "spam/model.bin") as stream,
    ):
        stream.read()


@pytest.mark.parametrize("place", [60, 80, 100])
def test_an_archive_with_wrong_bytes_inside_is_said_with_what_to_delete(archive, place):
    content = bytearray(archive.read_bytes())
    content[place : place + 20] = b"\xff" * 20
    archive.write_bytes(content)
    with (
        pytest.raises(FetchError, match=r"try again|has no file"),
        open_member(archive, "spam/model.bin") as stream,
    ):
        stream.read()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_what_is_no_archive_is_said(tmp_path, content):
    path = tmp_path / "spam.whl"
    path.write_bytes(content)
    with pytest.raises(FetchError, match=r"spam\.whl is not a readable archive"), open_member(path, "spam/model.bin"):
        pass


def test_a_folder_in_an_sdist_is_no_file(tmp_path):
    path = tmp_path / "spam.tar.gz"
    with tarfile.open(path, "w:gz") as tarred:
        info = tarfile.TarInfo("spam")
        info.type = tarfile.DIRTYPE
        tarred.addfile(info, io.BytesIO())
    with pytest.raises(FetchError, match="has no file 'spam'"), open_member(path, "spam"):
        pass


def tar_of(*infos: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0, pax: dict[str, str] | None = None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.pax_headers = kind, link, size, pax or {}
    return info


def encrypted() -> bytes:
    content = bytearray(wheel({"a": b"x" * 50}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    return bytes(content)


def compressed_in_another_way() -> bytes:
    content = bytearray(wheel({"a": b"x" * 50}))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(signature) + offset] = 77
    return bytes(content)


HOSTILE = {
    "encrypted": encrypted(),
    "unknown compression": compressed_in_another_way(),
    "a link to itself": tar_of(entry("a", tarfile.SYMTYPE, "a")),
    "a hard link to itself": tar_of(entry("a", tarfile.LNKTYPE, "a")),
    "a link to outside": tar_of(entry("a", tarfile.SYMTYPE, "/etc/hostname")),
    "a device": tar_of(entry("a", tarfile.CHRTYPE)),
    "a folder": tar_of(entry("a", tarfile.DIRTYPE)),
    "a header of 20 MB": tar_of(entry("a", pax={"comment": "x" * 20_000_000})),
    "not an archive": b"nothing",
    "empty": b"",
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_a_hostile_archive_holds_is_refused(tmp_path, name):
    path = tmp_path / "archive"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(FetchError, match="archive"), open_member(path, "a") as stream:
        stream.read()


def test_a_bomb_before_the_member_is_not_unpacked_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(package_index, "MAX_UNPACKED", 1 << 20)
    path = tmp_path / "archive"
    path.write_bytes(tar_of(entry("b", size=2 << 20), entry("a")))
    with pytest.raises(FetchError, match="more than 1,048,576 bytes unpacked"), open_member(path, "a"):
        pytest.fail("opened")


def test_a_full_disk_is_not_the_archives_fault(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(wheel({"a": b"x"}))
    with pytest.raises(OSError, match="No space left"), open_member(path, "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
