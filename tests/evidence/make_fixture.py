"""Writes ``fixtures/package-v1.zip``: run once per format version, then kept and verified for ever.

    python tests/evidence/make_fixture.py

A ledger with fixed keys that shows all a package of version 1 can hold: two bundles, a key rotation and a
recovery, disclosed, sealed and erased texts, a withheld attachment, exceptions, a planted item, a sample
by nonce, a proof towards a later checkpoint. Never overwrite the file: a change of the format is a new version.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from paper_ledger import PERIOD, PaperLedger, person, small

from affidavit.areas.access.events import RulesProposed
from affidavit.core.envelope import Draft
from affidavit.core.fields import Attachment
from affidavit.core.ledger_facts import VaultDisposed
from affidavit.evidence.package import Options, write_package

FIXTURE = Path(__file__).parent / "fixtures" / "package-v1.zip"
NONCE = "nonce of the auditor, 2026-04-02"


def ledger() -> PaperLedger:
    """The ledger of the fixture; ``size_at`` of the package is where it was first published last."""
    made = small()
    for number in range(100, 220):
        made.grant(number)
    made.at += timedelta(days=2)
    made.rotate("second")
    bulk = made.attach(b"row,score\n" * 40, "text/csv", "predictions")
    rules = Attachment(bulk.digest, bulk.bytes, bulk.type, bulk.kind)
    made.command(Draft(RulesProposed(rules, made.private("reason", "proposed for a test")), ("rules:workspace",)))
    erased = next(v for v, t in made.texts.items() if t is not None and t[0].startswith("="))
    made.texts[erased] = None
    fact = VaultDisposed(erased, 3, "erasure", made.private("reason", "asked for by the person"))
    made.command(Draft(fact, (f"principal:{person(10)}",)))
    made.recover("third")
    return made.publish()


def write(made: PaperLedger, out: object) -> None:
    """The package of the ledger as it stands, against the checkpoint after one more grant."""
    size = made.size
    made.grant(300)
    made.publish()
    options = Options(
        PERIOD, as_of=size, nonce=NONCE, disclose=("access.reason", "service.*"), against=made.notes[made.size]
    )
    write_package(out, made.source(), options)  # type: ignore[arg-type]


if __name__ == "__main__":
    if FIXTURE.exists():
        sys.exit(f"{FIXTURE} exists and is kept for ever")
    FIXTURE.parent.mkdir(exist_ok=True)
    with FIXTURE.open("xb") as file:
        write(ledger(), file)
