"""Receipts and promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.ledger import merkle, proofs
from affidavit.ledger.checkpoint import open_checkpoint
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.notes import sign_note
from affidavit.ledger.proofs import Accepted, Kept, Receipt, check_accepted, open_accepted, parse_receipt, sign_accepted
from affidavit.ledger.reader import TileReader

AT = datetime(2026, 3, 1, 12, 0, 0, 5000, tzinfo=UTC)
LEAF = merkle.leaf_hash(b"entry 7")


def receipt_of(log, index, extra=b""):
    return proofs.make_receipt(TileReader(log.read, log.size), index, log["checkpoint"], extra)


@pytest.mark.parametrize(("size", "index"), [(1, 0), (2, 1), (300, 0), (300, 255), (300, 299), (513, 512)])
def test_a_receipt_proves_its_entry(make_log, signer, size, index):
    """A receipt written, read and verified proves the entry, with nothing but the log's key."""
    log = make_log(size)
    receipt = parse_receipt(receipt_of(log, index, b"extra").encode())
    signed = receipt.verify(merkle.leaf_hash(log.entries[index]), [signer.vkey])
    assert signed.checkpoint.size == size
    assert receipt.extra == b"extra"


def test_a_receipt_of_another_entry_fails(make_log, signer):
    """Proof, index, entry, key and checkpoint all have to fit together."""
    log = make_log(300)
    good, checkpoint = receipt_of(log, 7), log["checkpoint"]
    longer = make_log(301)["checkpoint"]
    foreign = Ed25519Signer("example.com/log", b"x" * 32)
    with pytest.raises(Tampered):
        good.verify(merkle.leaf_hash(b"entry 8"), [signer.vkey])
    for bad in (
        Receipt(8, good.hashes, checkpoint),
        Receipt(7, good.hashes[:-1], checkpoint),
        Receipt(7, (*good.hashes, LEAF), checkpoint),
        Receipt(7, good.hashes[::-1], checkpoint),
        Receipt(7, good.hashes, longer),
    ):
        with pytest.raises(Tampered):
            bad.verify(LEAF, [signer.vkey])
    with pytest.raises(Invalid):
        Receipt(300, good.hashes, checkpoint).verify(LEAF, [signer.vkey])
    with pytest.raises(Tampered):
        good.verify(LEAF, [foreign.vkey])
    with pytest.raises(Tampered):
        good.verify(LEAF, [signer.vkey], origin="example.net/other")


def test_every_changed_byte_of_a_receipt_is_noticed(make_log, signer):
    """Flip each byte in turn: the receipt no longer parses, or no longer verifies."""
    body = receipt_of(make_log(20), 7).encode()
    parse_receipt(body).verify(LEAF, [signer.vkey])
    for place in range(len(body)):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises((Invalid, Tampered)):
            parse_receipt(changed).verify(LEAF, [signer.vkey])


MALFORMED = {
    "empty": lambda t: b"",
    "header only": lambda t: b"c2sp.org/tlog-proof@v1\n",
    "other header": lambda t: t.replace(b"@v1", b"@v2"),
    "no index": lambda t: t.replace(b"index 7\n", b""),
    "index with a plus": lambda t: t.replace(b"index 7", b"index +7"),
    "index with a zero": lambda t: t.replace(b"index 7", b"index 07"),
    "two spaces": lambda t: t.replace(b"index 7", b"index  7"),
    "two index lines": lambda t: t.replace(b"index 7\n", b"index 7\nindex 7\n"),
    "empty extra": lambda t: t.replace(b"index 7\n", b"extra \nindex 7\n"),
    "extra without value": lambda t: t.replace(b"index 7\n", b"extra\nindex 7\n"),
    "two extra lines": lambda t: t.replace(b"index 7\n", b"extra AA==\nextra AA==\nindex 7\n"),
    "extra after the index": lambda t: t.replace(b"index 7\n", b"index 7\nextra AA==\n"),
    "non-canonical extra": lambda t: t.replace(b"index 7\n", b"extra AB==\nindex 7\n"),
    "short hash": lambda t: t.replace(b"index 7\n", b"index 7\nAAAA\n"),
    "64 hashes": lambda t: t.replace(b"index 7\n", b"index 7\n" + (b"A" * 43 + b"=\n") * 64),
    "no checkpoint": lambda t: t.split(b"\n\n")[0] + b"\n\n",
    "no blank line": lambda t: t.replace(b"\n\n", b"\n"),
    "two blank lines": lambda t: t.replace(b"\n\n", b"\n\n\n", 1),
    "carriage returns": lambda t: t.replace(b"\n", b"\r\n"),
    "bytes behind": lambda t: t + b"x",
    "too large": lambda t: t + b"\n" * 1_000_000,
    "text": lambda t: t.decode(),
    "nothing": lambda t: None,
}


@pytest.mark.parametrize("why", MALFORMED)
def test_malformed_receipts_are_invalid(make_log, signer, why):
    """Each malformed receipt raises Invalid with a next step."""
    bad = MALFORMED[why](receipt_of(make_log(20), 7).encode())
    with pytest.raises(Invalid) as caught:
        parse_receipt(bad).verify(LEAF, [signer.vkey])
    assert caught.value.next_step


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_times_have_one_spelling(at):
    """Every millisecond of UTC can be written and read back."""
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    assert proofs.parse_time(proofs.format_time(at)) == at


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00.005", "2026-03-01T12:00:00.005+00:00", "2026-03-01 12:00:00.005Z",
        "2026-03-01t12:00:00.005z", "2026-3-1T12:00:00.005Z", "2026-02-29T12:00:00.005Z", "2026-13-01T12:00:00.005Z",
        "2026-03-01T24:00:00.000Z", "2026-03-01T12:60:00.000Z", "2026-12-31T23:59:60.000Z", "0000-01-01T00:00:00.000Z",
        "2026-03-01T12:00:00.005Z ", "2026-03-01T12:00:00.0050Z", "\u0662026-03-01T12:00:00.005Z",
    ],
)  # fmt: skip
def test_other_times_are_invalid(text):
    """Other spellings and times that do not exist are refused."""
    with pytest.raises(Invalid):
        proofs.parse_time(text)


@pytest.mark.parametrize(
    "at", [AT.replace(tzinfo=None), AT.replace(microsecond=1), AT.astimezone(timezone(timedelta(hours=1))), "now", None]
)
def test_promises_need_utc_milliseconds(at):
    """A promise cannot be made with any other time."""
    with pytest.raises(Invalid):
        Accepted("example.com/log", 7, LEAF, at)


def test_a_promise_goes_both_ways(signer):
    """Five lines, signed by the log's key."""
    promise = Accepted("example.com/log", 7, LEAF, AT)
    assert open_accepted(sign_accepted(promise, signer), [signer.vkey]) == promise
    assert promise.body().split(b"\n")[4] == b"2026-03-01T12:00:00.005Z"


BAD_PROMISES = {
    "other header": lambda b: b.replace(b"/v1", b"/v2"),
    "checkpoint": lambda b: b"example.com/log\n7\nAAAA\n",
    "line missing": lambda b: b.rsplit(b"\n", 2)[0] + b"\n",
    "line added": lambda b: b + b"more\n",
    "index with a zero": lambda b: b.replace(b"\n7\n", b"\n07\n"),
    "short hash": lambda b: b.replace(b"=\n", b"\n"),
    "bad time": lambda b: b.replace(b".005Z", b"Z"),
    "empty origin": lambda b: b.replace(b"example.com/log", b""),
}


@pytest.mark.parametrize("why", BAD_PROMISES)
def test_malformed_promises_are_invalid(signer, why):
    """A signature does not make a malformed promise well formed."""
    body = BAD_PROMISES[why](Accepted("example.com/log", 7, LEAF, AT).body())
    with pytest.raises(Invalid):
        open_accepted(sign_note(body, signer), [signer.vkey])


def test_a_promise_of_another_key_is_refused(signer, other):
    """Only a trusted key named after the log may promise for it."""
    promise = Accepted("example.com/log", 7, LEAF, AT)
    with pytest.raises(Tampered):
        open_accepted(sign_accepted(promise, other), [signer.vkey])
    foreign = Ed25519Signer("example.net/other", bytes(32))
    with pytest.raises(Tampered, match="not signed by a key of that log"):
        open_accepted(sign_accepted(promise, foreign), [foreign.vkey, signer.vkey])


def test_a_checkpoint_is_no_promise_and_a_promise_no_checkpoint(make_log, signer):
    """One key signs both kinds of note; neither can be passed off as the other."""
    note = sign_accepted(Accepted("example.com/log", 7, LEAF, AT), signer)
    with pytest.raises(Invalid):
        open_checkpoint(note, [signer.vkey])
    with pytest.raises(Invalid):
        open_accepted(make_log(3)["checkpoint"], [signer.vkey])


def judge(log, promise, **kw):
    checkpoint = open_checkpoint(log["checkpoint"], [log.signer.vkey]).checkpoint
    return check_accepted(promise, log.read, checkpoint, **kw)


def test_a_kept_promise(make_log):
    """The log has the entry where it said."""
    assert judge(make_log(20), Accepted("example.com/log", 7, LEAF, AT)).verdict is Kept.KEPT


def test_a_promise_that_the_log_has_not_reached(make_log):
    """A log that is too short is pending, or a broken promise once the caller knows that it is later."""
    promise = Accepted("example.com/log", 7, LEAF, AT)
    assert judge(make_log(7), promise).verdict is Kept.PENDING
    assert judge(make_log(7), promise, later=True).verdict is Kept.BROKEN


def test_a_broken_promise_is_proof_of_omission(make_log):
    """Another entry, proven to stand at the promised index, convicts the log."""
    log = make_log(20, entry=lambda i: b"entry %d" % i if i != 7 else b"replaced")
    verdict = judge(log, Accepted("example.com/log", 7, LEAF, AT))
    assert (verdict.verdict, verdict.held) == (Kept.BROKEN, merkle.leaf_hash(b"replaced"))


def test_damaged_tiles_convict_nobody(make_log):
    """Tiles that do not hash to the checkpoint, or are missing, allow no verdict."""
    log, promise = make_log(20), Accepted("example.com/log", 7, LEAF, AT)
    log.flip("tile/0/000.p/20", 7 * 32)
    with pytest.raises(Tampered):
        judge(log, promise)
    del log["tile/0/000.p/20"]
    with pytest.raises(NotFound):
        judge(log, promise)


def test_a_promise_of_another_log_is_not_judged(make_log):
    """Index and hash mean nothing in another log."""
    with pytest.raises(Invalid, match="cannot be judged"):
        judge(make_log(20), Accepted("example.net/other", 7, LEAF, AT))
