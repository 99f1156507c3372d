"""Replacing the log key: by rotation (old and new sign) or by recovery (the offline key signs).

A rotation is published under the key that was valid, then the same head is signed by both keys, then the
new key file takes the old one's place. A recovery works without the old key: the new one signs the head
that stands, then the entry is published under it. Each step can be repeated; after a crash the same
command finishes the change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from affidavit.core.area import Who
from affidavit.core.envelope import Draft, Record
from affidavit.core.errors import Refused
from affidavit.core.ledger_facts import KeyRecovered, KeyRotated
from affidavit.core.ports import Signer
from affidavit.ledger.checkpoint import sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer
from affidavit.ledger.succession import Recovery, Rotation, sign_recovery, sign_rotation
from affidavit.service.publisher import open_head, publish
from affidavit.service.upkeep import fresh_id, private
from affidavit.service.workspace import Workspace

Install = Callable[[], None]


def rotate(workspace: Workspace, new: Signer, install: Install, who: Who) -> Record:
    """Rotate the log key to ``new``; ``install`` puts its file into place at the end."""
    stores = workspace.stores
    workspace.executor.permit(who, "log.admin")
    size = publish(stores).size
    note = sign_rotation(Rotation(stores.origin, new.vkey, size + 1), stores.log_signer, new)
    statement = workspace.attach(note, "text/plain", "key-change")
    fact = KeyRotated(stores.log_signer.vkey, new.vkey, statement)
    (record,) = workspace.append([Draft(fact, ("ledger:log",))], who)
    publish(stores)
    _sign_head(workspace, stores.log_signer, new)
    install()
    return record


def _sign_head(workspace: Workspace, *signers: Signer) -> None:
    stores = workspace.stores
    head = stores.head.fetch(stores.origin)
    if head is None:
        raise Refused("not_published", "the log has no head.", next_step="affidavit log publish.")
    both = sign_checkpoint(open_head(stores, head).checkpoint, *signers)
    stores.head.replace(stores.origin, head, both)
    stores.tiles.publish(both)


def recover_key(workspace: Workspace, secret: str, new: Signer, reason: str, install: Install, who: Who) -> Record:
    """Replace a lost or stolen log key by the word of the recovery key that entry 0 names.

    ``secret`` is the offline half shown by ``init``. What the old key signed counts up to the present size.
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
    cut = stores.entries.size()
    note = sign_recovery(Recovery(stores.origin, new.vkey, cut), recovery)
    statement = workspace.attach(note, "text/plain", "key-change")
    owner = fresh_id(workspace)
    fact = KeyRecovered(new.vkey, cut, statement, private(workspace, owner, "reason", reason))
    (record,) = workspace.append([Draft(fact, ("ledger:log",))], who, owner)
    _sign_head(workspace, new)
    install()
    publish(replace(stores, log_signer=new, earlier_vkeys=tuple(stores.vkeys)))
    return record
