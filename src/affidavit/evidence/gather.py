"""One pass over the entries of a package-to-be: what they name, and that the log is sound enough to sign for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from affidavit.core import envelope
from affidavit.core.commitment import opens
from affidavit.core.digest import read_verified
from affidavit.core.envelope import Raw, Sealed
from affidavit.core.errors import AffidavitError, Invalid, NotFound, Tampered
from affidavit.core.fields import Attachment
from affidavit.evidence import shape
from affidavit.evidence.frozen import Adoptions
from affidavit.evidence.manifest import Withheld
from affidavit.evidence.prefix import prefix_of
from affidavit.evidence.source import Source, entries_of
from affidavit.ledger.checkpoint import Checkpoint, open_checkpoint
from affidavit.ledger.fields import base64_text
from affidavit.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash, verify_consistency
from affidavit.ledger.reader import TileReader

_RESTORE = "run `affidavit verify` on the workspace and mend it before anything is signed."


@dataclass
class Gathered:
    """What the entries below ``as_of`` name."""

    head: Checkpoint
    as_of: int
    root: bytes = EMPTY_ROOT
    clock: str = ""
    attachments: dict[str, tuple[Attachment, int]] = field(default_factory=dict)
    private: list[tuple[int, str, str, Sealed]] = field(default_factory=list)
    disposed: set[str] = field(default_factory=set)
    changes: list[Attachment] = field(default_factory=list)
    rules: Adoptions = field(default_factory=Adoptions)
    drills: int = 0


def gather(source: Source, as_of: int | None) -> Gathered:
    """Read the published log up to ``as_of`` (None: all of it) and check every entry against the signed head.

    Raises ``Invalid`` for a size that is not published or cuts a command in two, ``Tampered`` if entries,
    tiles and head do not agree: then nothing may be signed.
    """
    head = open_checkpoint(source.head, source.vkeys, origin=source.origin).checkpoint
    size = head.size if as_of is None else as_of
    if not 1 <= size <= head.size:
        raise Invalid(f"as-of {size} is not between 1 and {head.size}, the published size.",
                      next_step="`affidavit log publish`, or give a smaller size.")  # fmt: skip
    found = Gathered(head, size)
    frontier, last = Frontier(), None
    for index, body in entries_of(source.tiles, 0, head.size, head.size):
        frontier.append(leaf_hash(body))
        raw = envelope.split(body)
        if index < size:
            _take(found, index, raw)
            last = raw
        found.changes += [s for s in [shape.statement(raw)] if s is not None]
        if index + 1 == size:
            found.root = frontier.root()
    if last is not None and last.head.cmd.part != last.head.cmd.of:
        raise Invalid(f"as-of {size} cuts command {last.head.cmd.id} in two.",
                      next_step=f"use {size - last.head.cmd.part}.")  # fmt: skip
    _check_roots(source, found, frontier.root())
    return found


def _take(found: Gathered, index: int, raw: Raw) -> None:
    if index == 0:
        found.clock = str(raw.data.get("clock"))
    found.rules.take(raw)
    found.drills += bool(raw.head.drill)
    for attachment in shape.attachments(raw.data):
        found.attachments.setdefault(attachment.digest, (attachment, index))
    area = raw.head.tag.split(".")[0]
    found.private += [(index, f"{area}.{name}", name, sealed) for name, sealed in raw.private.items()]
    found.disposed.update(shape.disposed_texts(raw), shape.disposed_objects(raw))


def _check_roots(source: Source, found: Gathered, computed: bytes) -> None:
    """Entries hash to the head, the tiles too, and the tree of ``as_of`` is the beginning of the head's."""
    reader = TileReader(prefix_of(source.tiles, found.head.size), found.head.size)
    if not computed == found.head.root == reader.root():
        raise Tampered("the entries or tiles do not hash to the signed head.", next_step=_RESTORE)
    if found.as_of < found.head.size:
        proof = reader.consistency_proof(found.as_of)
        verify_consistency(found.as_of, found.head.size, proof, found.root, found.head.root)


def later_files(source: Source, found: Gathered, against: bytes | None) -> dict[str, bytes]:
    """Files that tie the package to a checkpoint its reader holds; none when that is not later than the package.

    Raises ``Tampered`` when the checkpoint is not of this history, ``Invalid`` when it is not published here.
    """
    if against is None:
        return {}
    held = open_checkpoint(against, source.vkeys, origin=source.origin).checkpoint
    if held.size > found.head.size:
        raise Invalid(f"the checkpoint has size {held.size}, the log is published up to {found.head.size}.",
                      next_step="`affidavit log publish`; if that does not help, the log was cut back.")  # fmt: skip
    read = prefix_of(source.tiles, found.head.size)
    reader = TileReader(read, held.size)
    if reader.root() != held.root:
        raise Tampered(
            f"at size {held.size} this log has another root than the checkpoint: a fork.", next_step=_RESTORE
        )
    if held.size <= found.as_of:
        return {}
    proof = "".join(base64_text(h) + "\n" for h in reader.consistency_proof(found.as_of))
    return {"later/checkpoint": against, "later/consistency": proof.encode()}


def read_object(source: Source, attachment: Attachment) -> bytes:
    """The bytes of an attachment, verified. Raises ``NotFound`` or ``Tampered``."""
    with source.objects(attachment.digest) as stream:
        body = read_verified(stream, attachment.digest, attachment.kind)
    if len(body) != attachment.bytes:
        raise Tampered(f"{attachment.digest} has {len(body)} bytes, not {attachment.bytes}.", next_step=_RESTORE)
    return body


def sort_attachments(
    source: Source, found: Gathered, kinds: Sequence[str], limit: int
) -> tuple[list[Attachment], list[Withheld]]:
    """Attachments to put in, and those left out with the reason: their class, their size, or they are missing."""
    taken, withheld = [], []
    for digest, (attachment, index) in sorted(found.attachments.items()):
        if digest in found.disposed:
            continue
        why = "class" if attachment.kind in kinds else "size" if attachment.bytes > limit else None
        if why is None:
            try:
                read_object(source, attachment)
            except (NotFound, Tampered):
                why = "missing"
        if why is None:
            taken.append(attachment)
        else:
            withheld.append(Withheld(digest, attachment.bytes, attachment.type, attachment.kind, index, why))  # type: ignore[arg-type]
    return taken, withheld


def wanted(name: str, classes: Sequence[str]) -> bool:
    """Whether a private field ``area.field`` is of one of the classes (``area.field`` or ``area.*``)."""
    return name in classes or name.split(".", maxsplit=1)[0] + ".*" in classes


def disclosures(source: Source, found: Gathered, classes: Sequence[str]) -> dict[str, Any]:
    """``disclosures.json``: text and key of each private field of these classes, and those that are gone."""
    opened, erased, lost = [], [], []
    for index, name, field_, sealed in found.private:
        if not wanted(name, classes):
            continue
        place = {"entry": index, "field": field_, "vault": sealed.vault}
        try:
            record = source.vault(sealed.vault)
        except AffidavitError:
            lost.append(place)
            continue
        if record is None:
            erased.append(place)
        elif opens(sealed.commit, record[1], field_, record[0]):
            opened.append(place | {"text": record[0], "key": base64_text(record[1])})
        else:
            lost.append(place)
    total = len(found.private)
    sealed_ = total - len(opened) - len(erased) - len(lost)
    return {"classes": sorted(classes), "erased": erased, "missing": lost, "opened": opened,
            "private_fields": total, "sealed": sealed_}  # fmt: skip
