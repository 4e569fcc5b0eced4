"""A node that has no artifact yet: taken, built, or let go for another one; nobody waits for what does not come."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchgate.executors.wire import SideError
from benchgate.pytest_plugin import node_pytest
from benchgate.pytest_plugin.node_pytest import have_artifact

WHERE = "/cache/artifacts/m-fp32-r-123"


class Peer:
    """Answers by `answers`; an exception is raised."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def exchange(self, do, test):
        self.asked.append(do)
        answer = self.answers[do]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def store(monkeypatch):
    """The shelf as a list of what happened to it; `has` is what it has."""
    said = []
    found = SimpleNamespace(said=said, has=False, give_up=lambda name: said.append(f"give up {name}"))
    monkeypatch.setattr(node_pytest, "fetch", lambda store, folder: store.has)
    monkeypatch.setattr(node_pytest, "publish", lambda store, folder: said.append(f"publish {folder.name}"))
    return found


def test_what_is_there_is_not_asked_for(store):
    peer = Peer(artifact={"ok": None})
    have_artifact(peer, "test_it", store)
    assert (peer.asked, store.said) == (["artifact"], [])


def test_what_another_node_built_is_taken(store):
    store.has, peer = True, Peer(artifact={"ok": WHERE})
    have_artifact(peer, "test_it", store)
    assert (peer.asked, store.said) == (["artifact"], [])


def test_what_nobody_has_is_built_for_all(store):
    peer = Peer(artifact={"ok": WHERE}, build={"ok": None})
    have_artifact(peer, "test_it", store)
    assert store.said == ["publish m-fp32-r-123", "give up m-fp32-r-123"]


@pytest.mark.parametrize("fails", [{"error": {"kind": "error", "text": "no memory"}}, SideError("its pytest died")])
def test_a_build_that_fails_is_let_go(store, fails):
    peer = Peer(artifact={"ok": WHERE}, build=fails)
    if isinstance(fails, Exception):
        with pytest.raises(SideError):
            have_artifact(peer, "test_it", store)
    else:
        have_artifact(peer, "test_it", store)
    assert store.said == ["give up m-fp32-r-123"]


def test_a_cell_that_cannot_be_found_out_about_is_left_to_its_own_run(store):
    peer = Peer(artifact={"error": {"kind": "error", "text": "not there"}})
    have_artifact(peer, "test_it", store)
    assert store.said == []
