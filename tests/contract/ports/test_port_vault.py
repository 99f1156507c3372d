"""Port ``Vault``: private texts can be forgotten, and commands can be retried."""

from __future__ import annotations

import os
import re
import stat

import pytest

from affidavit.core.errors import Invalid, NotFound
from affidavit.store.vault import SqliteVault

KEY = b"k" * 32
CANARY = "Zofia Kowalska-Nowak, born 1961"


def test_a_text_comes_back_with_its_key(vault):
    """Any Unicode text, the empty one too, under a random UUID."""
    for n, text in enumerate(["", "plain", "naïve ☂ \U0001f4a9\0x"]):
        key = os.urandom(32)
        vault_id, returned = vault.put("command", f"field{n}", text, key)
        assert returned == key and vault.get(vault_id) == (text, key)
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", vault_id)


def test_the_same_text_again_gives_the_earlier_id_and_key(vault):
    """A retried command makes the same commitment."""
    first = vault.put("command", "reason", "text", KEY)
    assert vault.put("command", "reason", "text", b"n" * 32) == first
    assert vault.put("command", "other", "text", b"n" * 32) != first
    assert vault.put("command2", "reason", "text", b"n" * 32) != first


def test_another_text_for_the_same_field_is_invalid(vault):
    """A command id was used for two commands; the message shows no text."""
    first = vault.put("command", "reason", "text", KEY)
    with pytest.raises(Invalid) as caught:
        vault.put("command", "reason", CANARY, KEY)
    assert CANARY not in str(caught.value)
    assert vault.get(first[0]) == ("text", KEY)


@pytest.mark.parametrize(
    ("owner", "field", "text", "key"),
    [
        ("", "f", "t", KEY),
        ("o", "", "t", KEY),
        ("o", "f", "t", b"short"),
        ("o", "f", "t", "k" * 32),
        ("o", "f", "\ud800", KEY),
    ],
)
def test_malformed_records_are_invalid(vault, owner, field, text, key):
    """Nothing is stored."""
    with pytest.raises(Invalid):
        vault.put(owner, field, text, key)
    assert list(vault.all()) == []


def test_an_unknown_id_is_not_found(vault):
    """For reading and for erasing."""
    for use in (vault.get, vault.erase):
        with pytest.raises(NotFound):
            use("00000000-0000-4000-8000-000000000000")


def test_an_erased_record_is_known_as_erased(vault):
    """Erasing twice is success; the others stay; nothing brings the text back."""
    gone, kept = (vault.put("command", field, "text", KEY)[0] for field in ("a", "b"))
    vault.erase(gone)
    vault.erase(gone)
    assert vault.get(gone) is None and vault.get(kept) == ("text", KEY)
    with pytest.raises(Invalid):
        vault.put("command", "a", "text", KEY)
    states = {vault_id: state for vault_id, _, _, state in vault.all()}
    assert states == {gone: "erased", kept: "present"}


def test_discard_forgets_a_command_that_was_not_accepted(vault):
    """All its records and none of another; erased ones stay known; nothing to forget is success."""
    gone, erased = (vault.put("one", field, "text", KEY)[0] for field in ("a", "b"))
    kept = vault.put("two", "a", "text", KEY)[0]
    vault.erase(erased)
    for owner in ("one", "one", "never"):
        vault.discard(owner)
    with pytest.raises(NotFound):
        vault.get(gone)
    assert vault.get(erased) is None and vault.get(kept) == ("text", KEY)
    assert vault.put("one", "a", "another text", KEY)[0] != gone


def test_all_lists_every_record_sorted_by_id(vault):
    """Across internal batches."""
    given = sorted(vault.put("command", f"f{n}", "t", KEY)[0] for n in range(20))
    assert [row[0] for row in vault.all()] == given
    assert all(row[1] == "command" and row[3] == "present" for row in vault.all())


@pytest.mark.parametrize("size", [1, 3000], ids=["in one page", "over several pages"])
def test_erased_bytes_are_not_in_the_file(tmp_path, size):
    """Text and key are overwritten in the database file, and no journal stays beside it."""
    vault = SqliteVault(tmp_path / "vault.db")
    key = os.urandom(32)
    erased, _ = vault.put("one", "a", CANARY * size, key)
    vault.put("two", "a", "kept", KEY)
    discarded_key = os.urandom(32)
    vault.put("three", "a", CANARY * size, discarded_key)
    assert CANARY.encode() in (tmp_path / "vault.db").read_bytes()
    vault.erase(erased)
    vault.discard("three")
    vault.close()
    for path in tmp_path.iterdir():
        body = path.read_bytes()
        assert CANARY.encode() not in body and key not in body and discarded_key not in body
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vault.db", "vault.db.lock"]


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_the_file_belongs_to_its_owner_alone(tmp_path):
    """0600 from the first byte."""
    vault = SqliteVault(tmp_path / "vault.db")
    vault.put("one", "a", "t", KEY)
    vault.close()
    assert stat.S_IMODE((tmp_path / "vault.db").stat().st_mode) == 0o600
