"""300 random single-byte changes, each found and named: log, artifacts, attachments, package, any stored value."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from affidavit.bootstrap import open_for_inspection
from affidavit.cli.verify import UNAUTHENTICATED, _workspace
from affidavit.evidence.verify import verify_package
from affidavit.store.rowstore import RowStore
from affidavit.store.signer import load_key

SEED = 20261124
FILES_PER_RUN, VALUES_PER_RUN, PACKAGE_FLIPS = 110, 90, 100


def flip(path: Path, rng: random.Random) -> int:
    """Change one random bit of a file; the place."""
    body = bytearray(path.read_bytes())
    place = rng.randrange(len(body))
    body[place] ^= 1 << rng.randrange(8)
    path.chmod(0o644)
    path.write_bytes(bytes(body))
    return place


def altered(value, rng: random.Random):
    """A stored value with one byte changed."""
    if isinstance(value, int):
        return value ^ 1
    body = bytearray(value.encode() if isinstance(value, str) else value)
    if not body:
        return "x"
    place = rng.randrange(len(body))
    body[place] = (body[place] ^ 1) or 2
    return body.decode("utf-8", "replace") if isinstance(value, str) else bytes(body)


def test_the_untouched_workspace_verifies(copy):
    """Nothing is found where nothing was changed."""
    report = _workspace(copy, [], None)
    assert report.problems == ()
    assert report.level == "self-consistent"


@pytest.mark.slow
def test_every_changed_byte_of_log_and_objects_is_named(copy):
    """A flip in any file of log/, objects/ and segments/ is reported with that file's path."""
    rng = random.Random(SEED)
    files = sorted(p for folder in ("log", "objects", "segments") for p in (copy / folder).rglob("*") if p.is_file())
    for path in (rng.choice(files) for _ in range(FILES_PER_RUN)):
        kept = path.read_bytes()
        place = flip(path, rng)
        report = _workspace(copy, [], None)
        path.write_bytes(kept)
        name = path.relative_to(copy).as_posix().replace("objects/sha256/", "").replace("segments/sha256/", "")
        shown = " ".join(f"{p.path} {p.detail}" for p in report.problems).replace("/", "")
        assert report.problems, f"{name} byte {place} was not noticed"
        named = name.replace("/", "") in shown or (
            path.is_relative_to(copy / "segments") and any(p.path.startswith("segments/") for p in report.problems)
        )
        assert named, f"{name} byte {place} was not named: {report.problems}"


def tables(path: Path) -> list[tuple[str, list[str]]]:
    with sqlite3.connect(path) as db:
        names = [
            r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        ]
        found = [(n, [r[1] for r in db.execute(f'PRAGMA table_info("{n}")')]) for n in names]
        return [(n, c) for n, c in found if db.execute(f'SELECT COUNT(*) FROM "{n}"').fetchone()[0]]


def change_value(path: Path, rng: random.Random) -> str | None:
    """Change one byte of one stored value; what was changed, or None if the store itself refuses it."""
    table, columns = rng.choice(tables(path))
    column = rng.choice(columns)
    db = sqlite3.connect(path)
    try:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{trigger}"')
        rows = db.execute(f'SELECT rowid, "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL').fetchall()
        if not rows:
            return None
        rowid, value = rng.choice(rows)
        db.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (altered(value, rng), rowid))
        db.commit()
        return f"{path.name} {table}.{column} row {rowid}"
    except sqlite3.IntegrityError:
        return None
    finally:
        db.close()


@pytest.mark.slow
def test_every_changed_value_of_the_databases_is_noticed(copy):
    """A byte changed in any stored value of ledger.db, vault.db or operational.db is reported."""
    rng = random.Random(SEED + 1)
    rows = RowStore(copy / "operational.db", load_key(copy / "keys" / "operational.key"))
    for n in range(3):
        rows.put("key_use", f"key-{n}", {"last": "2025-06-01T09:00:00.000Z"})
    rows.close()
    done = 0
    while done < VALUES_PER_RUN:
        path = copy / rng.choice(["ledger.db", "ledger.db", "vault.db", "operational.db"])
        kept = path.read_bytes()
        what = change_value(path, rng)
        if what is not None:
            report = _workspace(copy, [], None)
            assert report.problems, f"{what} was not noticed"
            done += 1
        path.write_bytes(kept)


def test_every_changed_byte_of_the_package_is_named(copy, year):
    """A flip anywhere in the zip, headers included, is found."""
    rng = random.Random(SEED + 2)
    whole = (copy / "evidence-2025.zip").read_bytes()
    vkey = (copy / "log.vkey").read_text().strip()
    target = copy / "flipped.zip"
    for _ in range(PACKAGE_FLIPS):
        body = bytearray(whole)
        place = rng.randrange(len(body))
        body[place] ^= 1 << rng.randrange(8)
        target.write_bytes(bytes(body))
        report = verify_package(target, vkeys=[vkey])
        assert report.problems, f"byte {place} was not noticed"


def test_what_is_not_authenticated_is_said(copy):
    """The output lists the bytes that no check covers."""
    assert _workspace(copy, [], None).unauthenticated == UNAUTHENTICATED


def test_no_private_text_of_the_year_stands_in_the_log(copy):
    """Reasons, purposes, notes and origins are in the vault alone; the log holds commitments."""
    ws = open_for_inspection(copy)
    bodies = b"".join(ws.stores.entries.entries(0, 10_000))
    texts = [ws.stores.vault.get(r[0])[0] for r in ws.stores.vault.all()]
    long = [t for t in texts if " " in t or "/" in t]
    assert len(long) > 20
    assert [t for t in long if t.encode() in bodies] == []
