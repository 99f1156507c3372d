"""Rotation and recovery of the log key: one line per way to hijack a log."""

from __future__ import annotations

import pytest

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.notes import sign_note
from affidavit.ledger.succession import (
    KeyTerm,
    Recovery,
    Rotation,
    follow,
    open_recovery,
    open_rotation,
    sign_recovery,
    sign_rotation,
)

ORIGIN = "example.com/log"


def key(number, name=ORIGIN):
    return Ed25519Signer(name, bytes([number]) * 32)


OLD, NEW, NEXT, THIEF = key(1), key(2), key(3), key(4)
SAFE = key(9, "example.com/recovery")


def test_a_rotation_is_signed_by_both_keys():
    """Old and new key sign the same four lines."""
    rotation = Rotation(ORIGIN, NEW.vkey, 300)
    note = sign_rotation(rotation, OLD, NEW)
    assert open_rotation(note, [OLD.vkey]) == rotation
    assert note.count(b"\xe2\x80\x94") == 2


@pytest.mark.parametrize(
    ("note", "trusted"),
    [
        pytest.param(sign_note(Rotation(ORIGIN, NEW.vkey, 300).body(), NEW), [OLD.vkey], id="old key did not sign"),
        pytest.param(sign_note(Rotation(ORIGIN, NEW.vkey, 300).body(), OLD), [OLD.vkey], id="new key did not sign"),
        pytest.param(
            sign_rotation(Rotation(ORIGIN, THIEF.vkey, 300), THIEF, THIEF), [OLD.vkey], id="thief signs twice"
        ),
        pytest.param(
            sign_rotation(Rotation(ORIGIN, NEW.vkey, 300), THIEF, NEW), [OLD.vkey], id="stranger for the old key"
        ),
        pytest.param(
            sign_rotation(Rotation(ORIGIN, NEW.vkey, 300), OLD, THIEF), [OLD.vkey], id="stranger for the new key"
        ),
        pytest.param(sign_rotation(Rotation(ORIGIN, OLD.vkey, 300), OLD, OLD), [OLD.vkey], id="to the same key"),
        pytest.param(sign_rotation(Rotation(ORIGIN, NEW.vkey, 300), OLD, NEW), [], id="nothing trusted"),
        pytest.param(
            sign_rotation(Rotation(ORIGIN, NEW.vkey, 300), key(1, "example.net/other"), NEW),
            [key(1, "example.net/other").vkey],
            id="trusted key of another log",
        ),
        pytest.param(
            sign_rotation(Rotation(ORIGIN, NEW.vkey, 300), OLD, NEW).replace(b"\n300\n", b"\n301\n"),
            [OLD.vkey],
            id="other size",
        ),
    ],
)
def test_forged_rotations_are_tampered(note, trusted):
    """Whoever lacks the old key, or does not prove the new one, changes nothing."""
    with pytest.raises(Tampered):
        open_rotation(note, trusted)


def test_a_recovery_needs_the_recovery_key():
    """The offline key alone names the new key and the cut."""
    recovery = Recovery(ORIGIN, NEW.vkey, 280)
    assert open_recovery(sign_recovery(recovery, SAFE), SAFE.vkey) == recovery
    for thief in (OLD, NEW, THIEF):
        with pytest.raises(Tampered):
            open_recovery(sign_recovery(recovery, thief), SAFE.vkey)
    own = Ed25519Signer(ORIGIN, bytes([9]) * 32)
    with pytest.raises(Tampered, match="recovery key itself"):
        open_recovery(sign_recovery(Recovery(ORIGIN, own.vkey, 280), SAFE), SAFE.vkey)


def test_rotation_and_recovery_are_not_exchangeable():
    """The first line says which it is; one cannot stand for the other."""
    with pytest.raises(Invalid):
        open_recovery(sign_note(Rotation(ORIGIN, NEW.vkey, 300).body(), SAFE), SAFE.vkey)
    with pytest.raises(Invalid):
        open_rotation(sign_note(Recovery(ORIGIN, NEW.vkey, 300).body(), OLD, NEW), [OLD.vkey])


BODY = Rotation(ORIGIN, NEW.vkey, 300).body()
BAD = {
    "other header": BODY.replace(b"/v1", b"/v2"),
    "line missing": BODY.rsplit(b"\n", 2)[0] + b"\n",
    "line added": BODY + b"more\n",
    "size with a zero": BODY.replace(b"\n300\n", b"\n0300\n"),
    "size with a plus": BODY.replace(b"\n300\n", b"\n+300\n"),
    "origin empty": BODY.replace(b"\nexample.com/log\n", b"\n\n"),
    "key of another name": BODY.replace(NEW.vkey.encode(), key(2, "example.net/other").vkey.encode()),
    "not a key": BODY.replace(NEW.vkey.encode(), b"rubbish"),
    "key with another id": BODY.replace(NEW.vkey.encode(), NEW.vkey.replace("+", "+0", 1).encode()),
}


@pytest.mark.parametrize("why", BAD)
def test_malformed_changes_are_invalid(why):
    """A signature does not make a malformed change well formed."""
    with pytest.raises(Invalid) as caught:
        open_rotation(sign_note(BAD[why], OLD, NEW), [OLD.vkey])
    assert caught.value.next_step


@pytest.mark.parametrize(
    "fields",
    [
        ("", NEW.vkey, 1),
        (ORIGIN, "x", 1),
        (ORIGIN, NEW.vkey, -1),
        ("example.net/other", NEW.vkey, 1),
        (ORIGIN, SAFE.vkey, 1),
    ],
)
def test_impossible_changes_cannot_be_made(fields):
    """The new key bears the origin as its name."""
    for kind in (Rotation, Recovery):
        with pytest.raises(Invalid):
            kind(*fields)


def rotate(old, new, size):
    return sign_rotation(Rotation(ORIGIN, new.vkey, size), old, new)


def test_following_the_keys_of_a_log():
    """From one pinned key, rotations and a recovery lead to the present key."""
    rescue = sign_recovery(Recovery(ORIGIN, NEXT.vkey, 280), SAFE)
    terms = follow(ORIGIN, OLD.vkey, [rotate(OLD, NEW, 100), rescue], recovery_vkey=SAFE.vkey)
    assert terms == [KeyTerm(OLD.vkey, 0, 100), KeyTerm(NEW.vkey, 100, 280), KeyTerm(NEXT.vkey, 280, None)]
    assert follow(ORIGIN, OLD.vkey, []) == [KeyTerm(OLD.vkey, 0, None)]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([rotate(NEW, NEXT, 100)], id="a step left out"),
        pytest.param([rotate(OLD, NEW, 100), rotate(OLD, THIEF, 200)], id="retired key signs again"),
        pytest.param([rotate(OLD, NEW, 200), rotate(NEW, NEXT, 100)], id="backwards in size"),
        pytest.param([rotate(OLD, NEW, 100), rotate(NEW, OLD, 200)], id="back to a retired key"),
        pytest.param([sign_recovery(Recovery(ORIGIN, THIEF.vkey, 1), THIEF)], id="recovery by a thief"),
        pytest.param(
            [sign_recovery(Recovery("example.net/o", key(5, "example.net/o").vkey, 1), SAFE)],
            id="change of another log",
        ),
    ],
)
def test_broken_successions_are_tampered(changes):
    """A chain of keys with a missing, repeated or reversed link leads nowhere."""
    with pytest.raises(Tampered):
        follow(ORIGIN, OLD.vkey, changes, recovery_vkey=SAFE.vkey)


def test_a_recovery_without_the_recovery_key_is_refused():
    """Without entry 0 nobody can say whether the recovery is genuine."""
    with pytest.raises(Invalid, match="recovery key"):
        follow(ORIGIN, OLD.vkey, [sign_recovery(Recovery(ORIGIN, NEW.vkey, 1), SAFE)])
