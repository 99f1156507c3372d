"""Replacing the log key: by rotation (old and new sign) or by recovery (the offline key signs).

A rotation is published under the key that was valid, then the same head is signed by both keys, then the
new key file takes the old one's place. A recovery works without the old key: its entry is published under
the new one. Each step can be repeated: the entry is written once, and after a crash the same command, or
the next start, finishes the change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from affidavit.core.area import Who
from affidavit.core.envelope import Draft, Record
from affidavit.core.errors import Refused, Tampered
from affidavit.core.ledger_facts import KeyRecovered, KeyRotated
from affidavit.core.ports import Signer
from affidavit.ledger.checkpoint import open_checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.succession import Recovery, Rotation, sign_recovery, sign_rotation
from affidavit.service.key_line import change_to
from affidavit.service.publisher import open_head, publish, refuse_stale_key
from affidavit.service.stores import Stores
from affidavit.service.upkeep import fresh_id, private
from affidavit.service.workspace import Workspace

Install = Callable[[], None]


def rotate(workspace: Workspace, new: Signer, install: Install, who: Who) -> Record:
    """Rotate the log key to ``new``; ``install`` puts its file into place at the end.

    Raises ``Busy`` at once if another process changes the key, or did since this one opened the workspace.
    """
    stores = workspace.stores
    workspace.executor.permit(who, "log.admin")
    with stores.key_lock(0.0):
        refuse_stale_key(stores)
        record = change_to(stores, workspace.catalog, new.vkey)
        if record is None:
            size = publish(stores).size
            note = sign_rotation(Rotation(stores.origin, new.vkey, size + 1), stores.log_signer, new)
            statement = workspace.attach(note, "text/plain", "key-change")
            fact = KeyRotated(stores.log_signer.vkey, new.vkey, statement)
            (record,) = workspace.append([Draft(fact, ("ledger:log",))], who)
        publish(stores)
        conclude(stores, new, install, stores.log_signer)
    return record


def conclude(stores: Stores, new: Signer, install: Install, *others: Signer) -> None:
    """End a change that an entry names: ``new`` signs the head, with ``others``, and its file is put into place.

    Nothing is published in between by another process. From here on this process signs with ``new``.
    """
    with stores.publish_lock():
        head = stores.head.fetch(stores.origin)
        if head is not None and not _signed_by(head, new.vkey):
            signers = [s for s in others if s.vkey != new.vkey]
            both = sign_checkpoint(open_head(stores, head).checkpoint, *signers, new)
            stores.head.replace(stores.origin, head, both)
            stores.tiles.publish(both)
        install()
    stores.sign_with(new)


def _signed_by(head: bytes, vkey: str) -> bool:
    try:
        open_checkpoint(head, [vkey])
    except Tampered:
        return False
    return True


def recover_key(workspace: Workspace, secret: str, new: Signer, reason: str, install: Install, who: Who) -> Record:
    """Replace a lost or stolen log key by the word of the recovery key that entry 0 names.

    ``secret`` is the offline half shown by ``init``. What the old key signed counts up to the present size.
    Raises ``Busy`` as ``rotate`` does.
    """
    stores = workspace.stores
    workspace.executor.permit(who, "log.admin")
    recovery = Ed25519Signer.from_secret_key(secret)
    expected = workspace.record(0).fact.recovery_key
    if recovery.vkey != expected:
        raise Refused(
            "wrong_recovery_key",
            "that is not the recovery key of this log.",
            next_step="find the key shown by `affidavit init`.",
        )
    with stores.key_lock(0.0):
        refuse_stale_key(stores)
        record = change_to(stores, workspace.catalog, new.vkey)
        if record is None:
            cut = stores.entries.size()
            note = sign_recovery(Recovery(stores.origin, new.vkey, cut), recovery)
            statement = workspace.attach(note, "text/plain", "key-change")
            owner = fresh_id(workspace)
            fact = KeyRecovered(new.vkey, cut, statement, private(workspace, owner, "reason", reason))
            (record,) = workspace.append([Draft(fact, ("ledger:log",))], who, owner)
        earlier = tuple(v for v in stores.vkeys if v != new.vkey)
        publish(replace(stores, log_signer=new, earlier_vkeys=earlier, present_vkey=None))
        conclude(stores, new, install)
    return record
