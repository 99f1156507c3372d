"""Ports ``Clock`` and ``Signer``, and the key files of the latter."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone

import pytest

from affidavit.core.errors import Invalid, NotFound, StoreDown, Tampered
from affidavit.ledger.keys import Ed25519Signer, parse_vkey
from affidavit.store.clock import SimulatedClock, SystemClock
from affidavit.store.signer import FileSigner, create_key, load_key

START = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize("clock", [SystemClock(), SimulatedClock(START)], ids=["system", "simulated"])
def test_a_clock_gives_utc_in_milliseconds_and_a_monotonic_second_hand(clock):
    """Whatever zone it was started in."""
    now = clock.now()
    assert now.tzinfo is UTC and now.microsecond % 1000 == 0
    assert clock.monotonic_s() <= clock.monotonic_s()
    assert clock.kind in ("system", "simulated")


def test_the_system_clock_is_the_system_s():
    """Within a second of the interpreter's."""
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=1)


def test_a_simulated_clock_moves_when_told():
    """Advancing passes time; a step moves the wall clock alone; setting back is a step."""
    clock = SimulatedClock(START)
    assert clock.now() == clock.now() == datetime(2030, 1, 1, 10, 0, 0, 123000, tzinfo=UTC)
    clock.advance(timedelta(seconds=90))
    assert clock.monotonic_s() == 90
    clock.step(timedelta(hours=1))
    assert (clock.now().hour, clock.monotonic_s()) == (11, 90)
    clock.set(datetime(2030, 1, 1, 10, tzinfo=UTC))
    assert (clock.now().hour, clock.monotonic_s()) == (10, 90)
    clock.set(datetime(2030, 1, 1, 10, 0, 10, tzinfo=UTC))
    assert clock.monotonic_s() == 100


@pytest.mark.parametrize("use", [lambda c: c.set(datetime(2030, 1, 1)), lambda c: c.advance(timedelta(-1))])
def test_times_that_mean_nothing_are_invalid(use):
    """No zone, or time that passes backwards."""
    with pytest.raises(Invalid):
        use(SimulatedClock(START))


@pytest.fixture(params=["file", "memory"])
def signer(request, tmp_path):
    if request.param == "memory":
        return Ed25519Signer("example.com/log", b"s" * 32)
    create_key(tmp_path / "keys" / "log")
    return FileSigner("example.com/log", tmp_path / "keys" / "log")


def test_a_signature_verifies_under_the_vkey_and_for_these_bytes_alone(signer):
    """The line is complete: dash, name, base64, newline."""
    import base64

    line = signer.sign(b"body\n").decode()
    dash, name, blob = line.rstrip("\n").split(" ")
    assert (dash, name) == ("\u2014", "example.com/log") and line.endswith("\n")
    key, signature = parse_vkey(signer.vkey), base64.b64decode(blob)[4:]
    assert key.verifies(b"body\n", signature) and not key.verifies(b"other\n", signature)


def test_a_key_file_is_created_once_and_loaded(tmp_path):
    """An existing key is never overwritten; the file is 0600."""
    path = tmp_path / "keys" / "log"
    seed = create_key(path)
    assert len(seed) == 32 and load_key(path) == seed
    with pytest.raises(Invalid):
        create_key(path)
    assert load_key(path) == seed
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert FileSigner("example.com/log", path).vkey == Ed25519Signer("example.com/log", seed).vkey


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    """The step says how to mend it."""
    create_key(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(StoreDown, match="chmod 600"):
        load_key(tmp_path / "key")


@pytest.mark.parametrize(
    "body", [b"", b"x", b"affidavit-ed25519-seed-v1 AAAA\n", b"other " + b"A" * 43 + b"=\n", b"\xff\xfe"]
)
def test_a_file_that_is_no_key_is_tampered_and_never_shown(tmp_path, body):
    """Neither its bytes nor a foreign error."""
    path = tmp_path / "key"
    path.write_bytes(body)
    path.chmod(0o600)
    with pytest.raises(Tampered):
        load_key(path)


def test_an_absent_key_is_not_found(tmp_path):
    """And a symbolic link to one is refused."""
    with pytest.raises(NotFound):
        load_key(tmp_path / "key")
    create_key(tmp_path / "key")
    if os.name == "posix":
        (tmp_path / "link").symlink_to(tmp_path / "key")
        with pytest.raises(Tampered):
            load_key(tmp_path / "link")
