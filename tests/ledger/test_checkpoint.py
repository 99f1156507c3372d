"""Checkpoints: one spelling per tree head, and the log's own key under it."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer, VerifierKey
from affidavit.ledger.merkle import EMPTY_ROOT
from affidavit.ledger.notes import sign_note

ROOT = bytes(range(32))
ROOT64 = b64encode(ROOT)
HEAD = Checkpoint("example.com/log", 42, ROOT)


def test_a_checkpoint_goes_both_ways(signer):
    """Signing and opening gives the checkpoint back, with the body that timestamps cover."""
    signed = open_checkpoint(sign_checkpoint(HEAD, signer), [signer.vkey])
    assert signed.checkpoint == HEAD
    assert signed.note.body == HEAD.body() == b"example.com/log\n42\n" + ROOT64 + b"\n"


@given(st.integers(1, (1 << 63) - 1), st.binary(min_size=32, max_size=32))
def test_every_checkpoint_has_one_spelling(size, root):
    """Parsing what was written gives the same value, and writing that gives the same bytes."""
    head = Checkpoint("example.com/log", size, root)
    assert parse_checkpoint(head.body()) == head


def test_extension_lines_are_kept(signer):
    """Other logs may add lines; they are part of the signed body."""
    head = Checkpoint("example.com/log", 42, ROOT, ("ext one", "ext two"))
    assert open_checkpoint(sign_checkpoint(head, signer), [signer.vkey]).checkpoint == head


BAD = {
    "empty": b"",
    "one line": b"example.com/log\n",
    "two lines": b"example.com/log\n42\n",
    "no final newline": b"example.com/log\n42\n" + ROOT64,
    "empty origin": b"\n42\n" + ROOT64 + b"\n",
    "empty size": b"example.com/log\n\n" + ROOT64 + b"\n",
    "plus sign": b"example.com/log\n+42\n" + ROOT64 + b"\n",
    "minus sign": b"example.com/log\n-42\n" + ROOT64 + b"\n",
    "leading zero": b"example.com/log\n042\n" + ROOT64 + b"\n",
    "two zeros": b"example.com/log\n00\n" + b64encode(EMPTY_ROOT) + b"\n",
    "space before the size": b"example.com/log\n 42\n" + ROOT64 + b"\n",
    "space after the size": b"example.com/log\n42 \n" + ROOT64 + b"\n",
    "underscore": b"example.com/log\n4_2\n" + ROOT64 + b"\n",
    "Arabic digits": "example.com/log\n\u0664\u0662\n".encode() + ROOT64 + b"\n",
    "hexadecimal": b"example.com/log\n0x2a\n" + ROOT64 + b"\n",
    "size of 2^63": b"example.com/log\n9223372036854775808\n" + ROOT64 + b"\n",
    "thousand digits": b"example.com/log\n" + b"9" * 1000 + b"\n" + ROOT64 + b"\n",
    "ten thousand digits": b"example.com/log\n" + b"9" * 10_000 + b"\n" + ROOT64 + b"\n",
    "empty root": b"example.com/log\n42\n\n",
    "short root": b"example.com/log\n42\n" + b64encode(ROOT[:31]) + b"\n",
    "long root": b"example.com/log\n42\n" + b64encode(ROOT + b"x") + b"\n",
    "unpadded root": b"example.com/log\n42\n" + ROOT64.rstrip(b"=") + b"\n",
    "non-canonical root": b"example.com/log\n42\n" + ROOT64[:-2] + b"9=\n",
    "hexadecimal root": b"example.com/log\n42\n" + ROOT.hex().encode() + b"\n",
    "empty extension line": b"example.com/log\n42\n" + ROOT64 + b"\n\n",
    "U+2028 for a newline": "example.com/log\u202842\n".encode() + ROOT64 + b"\n",
    "control character in the origin": b"example.com\x0b/log\n42\n" + ROOT64 + b"\n",
    "not UTF-8": b"example\xff.com/log\n42\n" + ROOT64 + b"\n",
    "size 0 with a root": b"example.com/log\n0\n" + ROOT64 + b"\n",
    "size 1 with the empty root": b"example.com/log\n1\n" + b64encode(EMPTY_ROOT) + b"\n",
    "text for bytes": "example.com/log\n42\n",
}


@pytest.mark.parametrize("why", BAD)
def test_malformed_checkpoints_are_invalid(why):
    """Each other spelling raises Invalid with a next step."""
    with pytest.raises(Invalid) as caught:
        parse_checkpoint(BAD[why])
    assert caught.value.next_step


@pytest.mark.parametrize("why", [w for w in BAD if isinstance(BAD[w], bytes) and BAD[w].endswith(b"\n")])
def test_a_signature_does_not_make_it_well_formed(signer, why):
    """A malformed body is refused although the right key signed it."""
    try:
        note = sign_note(BAD[why], signer)
    except Invalid:
        return
    with pytest.raises((Invalid, Tampered)):
        open_checkpoint(note, [signer.vkey])


def test_the_empty_log():
    """Size 0 has the root of nothing, and only that."""
    assert parse_checkpoint(Checkpoint("example.com/log", 0, EMPTY_ROOT).body()).size == 0


@pytest.mark.parametrize(
    "fields",
    [
        ("", 1, ROOT),
        ("a\nb", 1, ROOT),
        ("a", -1, ROOT),
        ("a", 1.0, ROOT),
        ("a", True, ROOT),
        ("a", 1, b""),
        ("\ud800", 1, ROOT),
    ],
)
def test_impossible_values_are_invalid(fields):
    """A checkpoint that could not be read back cannot be made."""
    with pytest.raises(Invalid):
        Checkpoint(*fields)


def test_a_key_of_another_log_is_no_key_of_this_one(signer):
    """Relabelling: a trusted key signs for the log of its own name only, unless the caller says which log."""
    foreign = Ed25519Signer("example.net/other", bytes(range(32)))
    note = sign_checkpoint(HEAD, foreign)
    with pytest.raises(Tampered, match="not of"):
        open_checkpoint(note, [foreign.vkey])
    assert open_checkpoint(note, [foreign.vkey], origin="example.com/log").checkpoint == HEAD
    with pytest.raises(Tampered):
        open_checkpoint(sign_checkpoint(HEAD, signer), [signer.vkey], origin="example.net/other")


def test_cosignatures_ride_along(signer):
    """A witness's line stays on the note, unverified for now."""
    witness = VerifierKey("w.example", 4, bytes(32))
    line = f"\u2014 w.example {b64encode(witness.id + bytes(72)).decode()}\n".encode()
    signed = open_checkpoint(sign_checkpoint(HEAD, signer) + line, [signer.vkey, witness])
    assert [item.name for item in signed.note.unverified] == ["w.example"]
