"""Whose word a log is: keys given or enrolled, key changes followed from them, timestamps, older checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from affidavit.core import canonical
from affidavit.core.errors import Invalid, Refused, StoreDown
from affidavit.ledger.checkpoint import Checkpoint, open_checkpoint
from affidavit.ledger.fields import base64_bytes, base64_text, shown
from affidavit.ledger.keys import VerifierKey, parse_vkey

if TYPE_CHECKING:
    from affidavit.ledger.policy import Policy

ENROLLED = "affidavit.dev/enrolled/v1"
_LIMIT = 16 << 20


class Trust(NamedTuple):
    """What a reader trusts beyond single keys: a tlog-policy, and root certificates of timestamp authorities."""

    policy: Policy | None = None
    tsa_roots: tuple[bytes, ...] = ()

    @property
    def log_keys(self) -> tuple[VerifierKey, ...]:
        """The log keys of the policy."""
        return self.policy.log_keys if self.policy else ()

    @property
    def wants_witnesses(self) -> bool:
        """Whether the policy asks for cosignatures, which this release does not verify."""
        return self.policy is not None and self.policy.quorum != "none"


def read_trust(policy: bytes | None = None, tsa_roots: Sequence[bytes] = ()) -> Trust:
    """Trust from the text of a policy and PEM or DER certificates. Raises ``Invalid``."""
    if policy is None:
        return Trust(None, tuple(tsa_roots))
    from affidavit.ledger.policy import parse_policy

    return Trust(parse_policy(policy), tuple(tsa_roots))


class Enrolled(NamedTuple):
    """What a reader kept of a log: its key and the newest checkpoint verified with it (a note)."""

    origin: str
    vkey: str
    note: bytes

    @property
    def checkpoint(self) -> Checkpoint:
        """The kept checkpoint. Raises ``Tampered`` or ``Invalid`` if the file was altered."""
        return open_checkpoint(self.note, [self.vkey], origin=self.origin).checkpoint


def read_enrolled(file: Path) -> dict[str, Enrolled]:
    """What was enrolled, by origin; nothing if the file does not exist. Raises ``Invalid`` for a damaged file."""
    try:
        body = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise StoreDown(f"{file} cannot be read: {e}.", next_step="check the disk.") from None
    value = canonical.decode(body) if len(body) <= _LIMIT else None
    if not isinstance(value, dict) or value.get("format") != ENROLLED or not isinstance(value.get("logs"), list):
        raise Invalid(f"{file} is not a file of enrolled logs.", next_step="restore it, or enrol again into another.")
    found: dict[str, Enrolled] = {}
    for line in value["logs"]:
        if not isinstance(line, dict) or not all(
            isinstance(line.get(k), str) for k in ("origin", "vkey", "checkpoint")
        ):
            raise Invalid(f"{file} has a line that is no enrolled log.", next_step="restore it.")
        parse_vkey(line["vkey"])
        note = base64_bytes(line["checkpoint"], "enrolled checkpoint")
        found[line["origin"]] = Enrolled(line["origin"], line["vkey"], note)
    return found


def enrol(origin: str, vkey: str, checkpoint: bytes, file: Path, *, successor: bool = False) -> Enrolled:
    """Keep the key and the checkpoint of a log for later verifications; the larger checkpoint stays.

    ``successor``: the caller verified that ``vkey`` follows from the enrolled key. Raises ``Refused`` for
    another key of an enrolled log, or another root at the enrolled size; ``Tampered`` or ``Invalid`` for a
    checkpoint that the key did not sign.
    """
    key = parse_vkey(vkey)
    if key.name != origin:
        raise Invalid(f"the key is of {shown(key.name)}, not of {shown(origin)}.", next_step="give the log's own key.")
    new = Enrolled(origin, key.vkey, checkpoint)
    fresh = new.checkpoint
    known = read_enrolled(file)
    old = known.get(origin)
    if old is not None:
        if old.vkey != new.vkey and not successor:
            raise Refused("other_key", f"{origin} is enrolled with another key.",
                          next_step="find out from its owner which is genuine; remove the line to enrol afresh.")  # fmt: skip
        held = old.checkpoint
        if held.size == fresh.size and held.root != fresh.root:
            raise Refused("fork", f"{origin} showed you another history of size {held.size} before.",
                          next_step="keep both checkpoints: together they prove the fork.")  # fmt: skip
        if held.size > fresh.size:
            new = old if old.vkey == new.vkey else new
    known[origin] = new
    _save(file, known)
    return new


def _save(file: Path, known: Mapping[str, Enrolled]) -> None:
    """Replace the file atomically."""
    logs = [{"checkpoint": base64_text(e.note), "origin": e.origin, "vkey": e.vkey} for _, e in sorted(known.items())]
    staged = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with staged.open("wb") as out:
            out.write(canonical.encode({"format": ENROLLED, "logs": logs}))
            out.flush()
            os.fsync(out.fileno())
        staged.replace(file)
    except OSError as e:
        with suppress(OSError):
            staged.unlink()
        raise StoreDown(f"{file} cannot be written: {e}.", next_step="check the disk and its rights.") from None
