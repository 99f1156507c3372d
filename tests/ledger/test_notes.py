"""Keys and signed notes: what is accepted, and every malformed or hostile note that must be refused."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger import fields, keys, notes
from affidavit.ledger.keys import Ed25519Signer, VerifierKey, parse_vkey
from affidavit.ledger.notes import parse_note, sign_note, verify_note

BODY = b"First line.\n\nSecond paragraph.\n"


@pytest.fixture
def note(signer):
    return sign_note(BODY, signer)


def line_of(signer, body=BODY):
    return signer.sign(body)


def test_a_signed_note_verifies(signer, note):
    """A note may contain blank lines; the last one divides text from signatures."""
    found = verify_note(note, [signer.vkey])
    assert found.body == BODY
    assert [line.name for line in found.verified] == [signer.name]
    assert found.unverified == ()
    assert found.signed_by(signer.key)


def test_the_signature_is_ed25519_over_the_body():
    """The first test of RFC 8032 section 7.1 gives the key, and the note signature is plain Ed25519."""
    signer = Ed25519Signer("t", bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert signer.key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    blob = parse_note(sign_note(b"x\n", signer)).unverified[0].blob
    assert signer.key.verifies(b"x\n", blob)
    assert not signer.key.verifies(b"x", blob)
    assert not signer.key.verifies(b"x\n", blob[:-1])


def test_key_text_goes_both_ways(signer):
    """Verifier key and secret key survive the round trip; neither repr nor error shows the secret."""
    assert parse_vkey(signer.vkey) == signer.key
    assert Ed25519Signer.from_secret_key(signer.secret_key()).vkey == signer.vkey
    assert bytes(range(32)).hex() not in repr(signer)
    secret = signer.secret_key()
    with pytest.raises(Invalid) as caught:
        Ed25519Signer.from_secret_key(secret[:-1] + "A")
    assert secret[-30:-4] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_base64_of_a_key_may_contain_a_plus():
    """Keys are split at most twice, so a plus in the base64 part is part of the key."""
    signer = next(s for s in (Ed25519Signer("n", bytes([i]) * 32) for i in range(256)) if s.vkey.count("+") > 2)
    assert parse_vkey(signer.vkey) == signer.key
    assert verify_note(sign_note(b"x\n", signer), [signer.vkey]).verified


@pytest.mark.parametrize("which", ["vkey", "secret"])
def test_every_part_and_every_changed_byte_of_a_key_is_refused(signer, which):
    """No proper part of a key text and no change of one character is a key."""
    text, parse = (signer.vkey, parse_vkey) if which == "vkey" else (signer.secret_key(), Ed25519Signer.from_secret_key)
    wrong = [text[:stop] for stop in range(len(text))] + [text[start:] for start in range(1, len(text))]
    wrong += [text[:i] + chr(ord(text[i]) + 1) + text[i + 1 :] for i in range(len(text))]
    wrong += [text + "\n", " " + text, text + "=", text.replace("+", " "), text.upper()]
    for bad in wrong:
        with pytest.raises(Invalid):
            parse(bad)


@pytest.mark.parametrize(
    ("kind", "public"),
    [(1, bytes(31)), (1, bytes(33)), (2, bytes(32)), (0, bytes(32)), (255, bytes(32)), (6, bytes(32)), (1, "text")],
)
def test_keys_of_other_types_and_lengths_are_refused(kind, public):
    """Only known types, each with the length of its keys."""
    with pytest.raises(Invalid):
        VerifierKey("n", kind, public)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\tb", "a\nb", "a\x00b", "\u2028", None])
def test_bad_key_names(name):
    """A name is not empty and has no Unicode space, plus or control character."""
    with pytest.raises(Invalid):
        Ed25519Signer(name, bytes(32))


@pytest.mark.parametrize("value", [None, 7, b"bytes", "", "+", "++", "a+b", "a+00000000+", "a+00000000+AA=="])
def test_texts_that_are_no_key(value):
    """Any other value raises Invalid, never another error."""
    with pytest.raises(Invalid):
        parse_vkey(value)
    with pytest.raises(Invalid):
        Ed25519Signer.from_secret_key(value)


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), "x" * 32, None])
def test_bad_seeds(seed):
    """A seed is 32 bytes."""
    with pytest.raises(Invalid):
        Ed25519Signer("n", seed)


def test_cosignature_keys_are_kept_and_their_signatures_stay_unverified(signer):
    """Types 4 and 6 parse; a note signed by such a key alone is refused, beside the log's key it is listed."""
    witness = VerifierKey("w.example", keys.COSIGNATURE_ED25519, signer.key.public)
    assert parse_vkey(witness.vkey) == witness
    assert parse_vkey(VerifierKey("w.example", keys.COSIGNATURE_ML_DSA_44, bytes(1312)).vkey).kind == 6
    blob = witness.id + bytes(8) + bytes(64)
    cosigned = sign_note(BODY, signer) + f"\u2014 w.example {b64encode(blob).decode()}\n".encode()
    found = verify_note(cosigned, [signer.vkey, witness.vkey])
    assert [line.name for line in found.unverified] == ["w.example"]
    with pytest.raises(Tampered, match="No known key"):
        verify_note(cosigned, [witness])


MALFORMED = {
    "empty": lambda note, line: b"",
    "text only": lambda note, line: BODY,
    "no signature line": lambda note, line: BODY + b"\n",
    "no blank line": lambda note, line: b"One.\n" + line,
    "no final newline": lambda note, line: note[:-1],
    "control character in the text": lambda note, line: b"\x01" + note,
    "tab in the text": lambda note, line: b"a\tb\n\n" + line,
    "carriage return": lambda note, line: note.replace(b"\n", b"\r\n"),
    "NUL in the signature": lambda note, line: note[:-2] + b"\x00\n",
    "not UTF-8": lambda note, line: b"\xff" + note,
    "overlong UTF-8": lambda note, line: b"\xc0\x8a" + note,
    "surrogate in UTF-8": lambda note, line: b"\xed\xa0\x80" + note,
    "line after the signatures": lambda note, line: note + b"Unexpected.\n",
    "blank line after the signatures": lambda note, line: note + b"\n",
    "hyphen for the dash": lambda note, line: note.replace("\u2014".encode(), b"-"),
    "en dash": lambda note, line: note.replace("\u2014".encode(), "\u2013".encode()),
    "no space after the dash": lambda note, line: note.replace("\u2014 ".encode(), "\u2014".encode()),
    "two spaces after the dash": lambda note, line: note.replace("\u2014 ".encode(), "\u2014  ".encode()),
    "two spaces before the signature": lambda note, line: note.replace(b"/log ", b"/log  "),
    "space at the end": lambda note, line: note[:-1] + b" \n",
    "name with a plus": lambda note, line: note.replace(b"/log ", b"/l+g "),
    "name with a no-break space": lambda note, line: note.replace(b"/log ", "/l\u00a0g ".encode()),
    "name only": lambda note, line: BODY + b"\n" + "\u2014 example.com/log\n".encode(),
    "empty name": lambda note, line: BODY + b"\n" + "\u2014  AAAAAAA=\n".encode(),
    "key id without signature": lambda note, line: BODY + b"\n" + "\u2014 n AAAAAA==\n".encode(),
    "not base64": lambda note, line: BODY + b"\n" + "\u2014 n !!!!!!!!\n".encode(),
    "URL-safe base64": lambda note, line: BODY + b"\n" + "\u2014 n ____AAAA\n".encode(),
    "unpadded base64": lambda note, line: note.replace(b"=", b""),
    "non-canonical base64": lambda note, line: BODY + b"\n" + "\u2014 n AAAAAAB=\n".encode(),
    "non-ASCII base64": lambda note, line: BODY + b"\n" + "\u2014 n AAAAAA\u0661A\n".encode(),
    "101 signatures": lambda note, line: BODY + b"\n" + line * 101,
    "too large": lambda note, line: b"x" * 10_000_000 + b"\n" + note,
    "text for bytes": lambda note, line: note.decode(),
    "nothing": lambda note, line: None,
}


@pytest.mark.parametrize("why", MALFORMED)
def test_malformed_notes_are_invalid(signer, note, why):
    """Each malformed note is refused as Invalid, with a next step, before any signature is looked at."""
    bad = MALFORMED[why](note, line_of(signer))
    with pytest.raises(Invalid) as caught:
        verify_note(bad, [signer.vkey])
    assert caught.value.next_step


def test_limits_come_before_parsing(monkeypatch):
    """A note over the size limit is refused without looking at its bytes."""
    monkeypatch.setattr(notes, "_check_text", lambda data: pytest.fail("looked at the bytes"))
    with pytest.raises(Invalid):
        parse_note(b"x" * (notes.MAX_NOTE_BYTES + 1))


def test_one_hundred_signatures_are_accepted(signer, note):
    """Unknown signatures up to the limit do no harm (the format asks for at least 16)."""
    grease = b"".join(f"\u2014 n{i} AAAAAAAA\n".encode() for i in range(99))
    found = verify_note(note + grease, [signer.vkey])
    assert len(found.unverified) == 99


def test_unknown_keys_are_ignored(signer, other, note):
    """The same name with another id, and the same id under another name, are unknown keys."""
    line = line_of(signer).replace(b"example.com/log", b"example.net/log")
    found = verify_note(BODY + b"\n" + line + line_of(other) + line_of(signer), [signer.vkey])
    assert len(found.verified) == 1
    assert len(found.unverified) == 2
    with pytest.raises(Tampered):
        verify_note(BODY + b"\n" + line + line_of(other), [signer.vkey])


def test_no_key_and_no_signature_that_counts(note):
    """A verifier without keys believes nothing."""
    with pytest.raises(Tampered, match="No known key"):
        verify_note(note, [])
    with pytest.raises(Invalid):
        verify_note(note, "example.com/log+00000000+AA==")
    with pytest.raises(Invalid):
        verify_note(note, ["rubbish"])


def test_a_known_key_that_fails_spoils_the_note(signer, other, note):
    """One failing signature of a known key rejects the note even if another known key's is right."""
    bad = line_of(other, b"Something else.\n")
    with pytest.raises(Tampered, match="is wrong"):
        verify_note(note + bad, [signer.vkey, other.vkey])
    assert verify_note(note + bad, [signer.vkey]).verified


def test_wrong_key(other, note):
    """A note signed by another key of the same name is refused."""
    with pytest.raises(Tampered):
        verify_note(note, [other.vkey])


@pytest.mark.parametrize("change", [lambda b: b.replace(b"First", b"Forst"), lambda b: b"More.\n" + b, lambda b: b[6:]])
def test_a_changed_body_fails(signer, note, change):
    """The signature covers every byte of the text."""
    with pytest.raises(Tampered):
        verify_note(change(note), [signer.vkey])


def test_repeated_lines(signer, note):
    """A known key counts once, and the first line decides; identical unknown lines are listed once."""
    unknown = "\u2014 n AAAAAAAA\n".encode()
    wrong = line_of(signer, b"Something else.\n")
    found = verify_note(note + line_of(signer) + unknown + unknown, [signer.vkey, signer.key])
    assert (len(found.verified), len(found.unverified)) == (1, 1)
    assert verify_note(note + wrong, [signer.vkey]).verified
    with pytest.raises(Tampered):
        verify_note(BODY + b"\n" + wrong + line_of(signer), [signer.vkey])


class Collision(VerifierKey):
    """A key whose 4-byte id was ground to equal another's (stated here instead of searched for)."""

    @property
    def id(self):
        return Ed25519Signer("example.com/log", bytes(range(32))).key.id


def test_a_colliding_key_id_is_only_a_failed_signature(signer, other, note):
    """The id is an identifier: a foreign key with the pinned key's id does not verify as the pinned key."""
    forged_blob = signer.key.id + parse_note(sign_note(BODY, other)).unverified[0].blob
    forged = BODY + b"\n" + f"\u2014 {signer.name} {b64encode(forged_blob).decode()}\n".encode()
    with pytest.raises(Tampered, match="is wrong"):
        verify_note(forged, [signer.vkey])
    twin = Collision(signer.name, keys.ED25519, other.key.public)
    with pytest.raises(Invalid, match="Two different trusted keys"):
        verify_note(note, [signer.key, twin])


@pytest.mark.parametrize("body", [b"", b"no newline", b"tab\t\n", b"\xff\n", "text\n", b"\x1f\n", None])
def test_bodies_that_cannot_be_signed(signer, body):
    """A body is UTF-8 text without control characters that ends in a newline."""
    with pytest.raises(Invalid):
        sign_note(body, signer)


def test_a_note_needs_a_signer():
    """Signing with nobody is refused."""
    with pytest.raises(Invalid):
        sign_note(BODY)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.just("\n"), max_size=60))
def test_any_text_survives(text):
    """Every text without control characters can be signed and comes back unchanged."""
    signer = Ed25519Signer("example.com/log", bytes(range(32)))
    body = (text + "\n").encode()
    assert verify_note(sign_note(body, signer), [signer.vkey]).body == body


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_our_errors(data):
    """The parser raises Invalid or nothing, whatever it is given."""
    for candidate in (data, BODY + b"\n" + "\u2014 ".encode() + data + b"\n"):
        try:
            parse_note(candidate)
        except Invalid as error:
            assert error.next_step


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+5",
        "-1",
        " 7",
        "7 ",
        "7\n",
        "1_000",
        "\u0663",
        "0x10",
        "1e3",
        "1.0",
        "01",
        "00",
        "\u00b2",
        "9223372036854775808",
        "9" * 30,
    ],
)
def test_numbers_have_one_spelling(text):
    """What int() would take beyond plain decimal digits is refused."""
    with pytest.raises(Invalid):
        fields.number(text, "size")


def test_numbers():
    """Zero and the largest number are read."""
    assert fields.number("0", "size") == 0
    assert fields.number("9223372036854775807", "size") == (1 << 63) - 1


@pytest.mark.parametrize("text", ["AB==", "AA", "AA=", "AA===", "A A=", "AA==\n", "AA==AA==", "-_-_", "AA\u0661="])
def test_base64_has_one_spelling(text):
    """What b64decode would forgive is refused."""
    with pytest.raises(Invalid):
        fields.base64_bytes(text, "hash")


def test_lines_are_split_at_newlines_only():
    """U+2028, U+0085 and vertical tab do not end a line."""
    assert fields.text_lines("a\u2028b\u0085c\x0bd\ne\n".encode(), "text") == ["a\u2028b\u0085c\x0bd", "e"]
