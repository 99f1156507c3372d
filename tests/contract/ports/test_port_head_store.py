"""Port ``HeadStore``: compare-and-replace, linearizable; and where the default one lives."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from affidavit.core.errors import Busy, Invalid
from affidavit.store.head import SqliteHeadStore, default_head_dir

ORIGIN = "example.com/log"


def test_a_log_never_published_has_no_head(head_store):
    """None, not an error."""
    assert head_store.fetch(ORIGIN) is None


def test_a_head_moves_from_the_present_value_alone(head_store):
    """The first from None, each next from the last; anything else is ``Busy`` and changes nothing."""
    head_store.replace(ORIGIN, None, b"one")
    head_store.replace(ORIGIN, b"one", b"two")
    for old in (None, b"one", b"three"):
        with pytest.raises(Busy):
            head_store.replace(ORIGIN, old, b"four")
    assert head_store.fetch(ORIGIN) == b"two"


def test_origins_are_apart(head_store):
    """One store serves several logs."""
    head_store.replace(ORIGIN, None, b"one")
    head_store.replace("other.example/log", None, b"two")
    assert (head_store.fetch(ORIGIN), head_store.fetch("other.example/log")) == (b"one", b"two")


@pytest.mark.parametrize(("origin", "new"), [("", b"x"), ("a\nb", b"x"), (ORIGIN, b""), (ORIGIN, "text")])
def test_malformed_heads_are_invalid(head_store, origin, new):
    """An empty note or an origin of two lines means nothing."""
    with pytest.raises(Invalid):
        head_store.replace(origin, None, new)


def test_of_two_replacements_at_most_one_succeeds(head_store):
    """Eight threads race from each value: one wins every round."""
    present = None
    for round_ in range(10):
        won = []

        def race(n, old=present, won=won, round_=round_):
            try:
                head_store.replace(ORIGIN, old, b"%d/%d" % (round_, n))
                won.append(n)
            except Busy:
                pass

        threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        present = head_store.fetch(ORIGIN)
        assert len(won) == 1 and present == b"%d/%d" % (round_, won[0])


def test_a_head_outlives_its_store_object(tmp_path):
    """Another process opens the same file."""
    for old, new in ((None, b"one"), (b"one", b"two")):
        store = SqliteHeadStore(tmp_path / "h" / "head.db")
        store.replace(ORIGIN, old, new)
        store.close()
    store = SqliteHeadStore(tmp_path / "h" / "head.db")
    assert store.fetch(ORIGIN) == b"two"
    store.close()


@pytest.mark.parametrize(
    ("platform", "env", "start"),
    [
        ("linux", {}, "~/.local/state/affidavit"),
        ("linux", {"XDG_STATE_HOME": "/srv/state"}, "/srv/state/affidavit"),
        ("linux", {"XDG_STATE_HOME": "relative"}, "~/.local/state/affidavit"),
        ("darwin", {"XDG_STATE_HOME": "/srv/state"}, "~/Library/Application Support/affidavit"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/affidavit"),
        ("win32", {}, "~/AppData/Local/affidavit"),
        ("linux", {"AFFIDAVIT_STATE": "/else", "XDG_STATE_HOME": "/srv/state"}, "/else"),
    ],
)
def test_the_default_folder_follows_the_platform(platform, env, start):
    """The user's state folder, then the hash of the origin; nothing is created."""
    found = default_head_dir(ORIGIN, env=env, platform=platform)
    assert found.parent == Path(start).expanduser() / "heads"
    assert len(found.name) == 32 and not found.exists()
    assert found != default_head_dir(ORIGIN + "2", env=env, platform=platform)
