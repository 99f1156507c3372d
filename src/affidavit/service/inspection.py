"""``verify`` of a workspace: every stored value against the entries, the entries against the signed log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from affidavit.core import canonical, envelope
from affidavit.core import digest as digests
from affidavit.core.commitment import opens
from affidavit.core.errors import AffidavitError, NotFound
from affidavit.core.ledger_facts import VaultDisposed
from affidavit.core.ports import EntryStore
from affidavit.ledger.fsck import verify_log
from affidavit.ledger.listing import Problem
from affidavit.ledger.merkle import leaf_hash
from affidavit.ledger.reader import TileReader
from affidavit.service import views
from affidavit.service.inspect_segments import inspect_segments
from affidavit.service.key_line import key_line
from affidavit.service.publisher import open_head
from affidavit.service.workspace import Workspace

TRIES = 3
"""How often the read tables of a workspace in use are compared before that is left to a quieter moment."""


class Flawed(Protocol):
    """A store of operational rows that can name those whose MAC does not fit."""

    def flaws(self) -> list[str]:
        """``table key`` of every such row."""


@dataclass(slots=True)
class Inspection:
    """What was looked at and what was wrong with it."""

    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def flaw(self, kind: str, path: str, index: int | None, detail: str) -> None:
        """Note one flaw and its place."""
        self.problems.append(Problem(kind, path, index, detail))


def inspect(workspace: Workspace, fresh: EntryStore, against: bytes | None = None) -> Inspection:
    """Verify everything a workspace stores; ``fresh`` is an empty entry store to replay into.

    Every problem is returned, none is raised, so that one flaw does not hide another.
    """
    found = Inspection()
    stores = workspace.stores
    steps: Iterable[tuple[str, Callable[[], None]]] = (
        ("log", lambda: _log(workspace, found, against)),
        ("ledger.db", lambda: _entries(workspace, found)),
        ("log.vkey", lambda: _keys(workspace, found)),
        ("objects", lambda: _objects(workspace, found)),
        ("segments", lambda: inspect_segments(workspace, found)),
        ("vault.db", lambda: _vault(workspace, found)),
        ("ledger.db", lambda: _tables(workspace, found, fresh)),
        ("operational.db", lambda: _rows(stores.operational, found)),  # type: ignore[arg-type]
    )
    for place, step in steps:
        try:
            step()
        except AffidavitError as e:
            found.flaw("unreadable", place, None, e.problem)
    return found


def _log(workspace: Workspace, found: Inspection, against: bytes | None) -> None:
    stores = workspace.stores
    report = verify_log(
        stores.tiles.get,
        lambda: stores.tiles.list(""),
        stores.vkeys,
        against=against,
        origin=stores.origin,
        live=True,
    )
    found.problems += [
        Problem(p.kind, f"log/{p.path}" if p.path else "log", p.index, p.detail) for p in report.problems
    ]
    found.counts["published entries"] = report.entries
    head = stores.head.fetch(stores.origin)
    if head is not None and stores.tiles.get("checkpoint") != head:
        found.flaw("checkpoint", "log/checkpoint", None, "it is not the head store's")


def _entries(workspace: Workspace, found: Inspection) -> None:
    """Each entry of the database is that of the log, in canonical form, gapless in its stream."""
    stores = workspace.stores
    note = stores.head.fetch(stores.origin)
    size = open_head(stores, note).checkpoint.size if note else 0
    reader = TileReader(stores.tiles.get, size)
    seqs: dict[str, int] = {}
    index = -1
    for index, body in enumerate(stores.entries.entries(0, stores.entries.size())):
        if index < size and leaf_hash(body) != reader.leaf(index):
            found.flaw("entry", "ledger.db", index, "the stored entry is not the one under the signed head")
            continue
        try:
            head = envelope.split(body).head
        except AffidavitError as e:
            found.flaw("entry", "ledger.db", index, e.problem)
            continue
        if head.seq != seqs.get(head.stream, 0):
            found.flaw("sequence", "ledger.db", index, f"{head.stream} jumps to {head.seq}")
        seqs[head.stream] = head.seq + 1
    if index + 1 < size:
        found.flaw("missing", "ledger.db", index + 1, f"the database ends, the signed head has {size} entries")
    found.counts["entries"] = index + 1


def _keys(workspace: Workspace, found: Inspection) -> None:
    """The keys lead from the one entry 0 names, change by change, to the present log key."""
    try:
        line = key_line(workspace.stores)
    except AffidavitError as e:
        found.flaw("succession", "log.vkey", None, e.problem)
        return
    present = workspace.stores.log_signer.vkey
    if present != line.last:
        index = line.changes[-1].index if line.changes else 0
        found.flaw("succession", "log.vkey", index, f"the entries lead to {line.last}, the log key is {present}")
    found.counts["log keys"] = len(line.vkeys)


def _objects(workspace: Workspace, found: Inspection) -> None:
    """Every stored object hashes to its name; every attachment and artifact of an entry is there."""
    stores = workspace.stores
    present = set()
    for digest in stores.objects.list():
        present.add(digest)
        try:
            with stores.objects.open(digest) as source:
                for _ in digests.verified_chunks(source, digest, digest):
                    pass
        except AffidavitError as e:
            found.flaw("object", f"objects/{digest}", None, e.problem)
    wanted = _wanted(workspace)
    for digest, index in wanted.items():
        if digest not in present:
            found.flaw("missing", f"objects/{digest}", index, "an entry names it and it is not stored")
    found.counts["objects"] = len(present)
    if extra := len(present - set(wanted)):
        found.notes.append(f"{extra} stored objects are named by no entry (uploads never used)")


def _wanted(workspace: Workspace) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, body in enumerate(workspace.stores.entries.entries(0, workspace.stores.entries.size())):
        try:
            record = envelope.decode(index, body)
        except AffidavitError:
            continue
        for attachment in envelope.attachments(record.fact):
            found.setdefault(attachment.digest, index)
        artifact = getattr(record.fact, "artifact", None)
        if isinstance(artifact, str):
            found.setdefault(artifact, index)
            for digest in _files(workspace, artifact):
                found.setdefault(digest, index)
    return found


def _files(workspace: Workspace, manifest: str) -> list[str]:
    """The file digests of an artifact manifest; none if it cannot be read (that is its own flaw)."""
    try:
        with workspace.stores.objects.open(manifest) as source:
            body = canonical.decode(digests.read_verified(source, manifest, "manifest"))
        return [str(f["sha256"]) for f in body["files"]]
    except (AffidavitError, TypeError, KeyError):
        return []


def _vault(workspace: Workspace, found: Inspection) -> None:
    """Each commitment of an entry opens with its vault record, or an entry says that it was disposed of."""
    vault = workspace.stores.vault
    commitments: dict[str, tuple[int, str, str]] = {}
    owners: dict[str, str] = {}
    disposed: dict[str, int] = {}
    for index, body in enumerate(workspace.stores.entries.entries(0, workspace.stores.entries.size())):
        try:
            raw = envelope.split(body)
        except AffidavitError:
            continue
        if raw.head.tag == VaultDisposed.TAG:  # type: ignore[attr-defined]
            _disposal(found, index, raw.data, commitments, disposed)
        for name, sealed in raw.private.items():
            commitments[sealed.vault] = (index, name, sealed.commit)
            owners[sealed.vault] = raw.head.cmd.id
    for vault_id, (index, name, commitment) in commitments.items():
        try:
            record = vault.get(vault_id)
        except NotFound:
            found.flaw("missing", f"vault.db/{vault_id}", index, f"the text of {name} is not in the vault")
            continue
        except AffidavitError as e:
            found.flaw("vault", f"vault.db/{vault_id}", index, e.problem)
            continue
        if record is None:
            if vault_id not in disposed:
                found.flaw("missing", f"vault.db/{vault_id}", index, f"{name} was erased and no entry says so")
        elif vault_id in disposed:
            said = f"entry {disposed[vault_id]} says that the text of {name} was destroyed, and it is there"
            found.flaw("revived", f"vault.db/{vault_id}", index, said)
        elif not opens(commitment, record[1], name, record[0]):
            found.flaw("vault", f"vault.db/{vault_id}", index, f"text or key of {name} does not open its commitment")
    _owners(workspace, found, commitments, owners)


def _disposal(
    found: Inspection,
    index: int,
    data: Mapping[str, object],
    known: Mapping[str, tuple[int, str, str]],
    disposed: dict[str, int],
) -> None:
    """A disposal names the earlier entry whose text it destroyed; one that does not covers nothing."""
    vault_id, entry = str(data.get("vault")), data.get("entry")
    if vault_id in known and known[vault_id][0] == entry:
        disposed[vault_id] = index
    else:
        found.flaw("disposal", f"vault.db/{vault_id}", index, f"it names entry {entry}, which has no such text")


def _owners(
    workspace: Workspace, found: Inspection, known: dict[str, tuple[int, str, str]], owners: dict[str, str]
) -> None:
    """Each vault record belongs to the command and field of the entry that names it."""
    orphans, count = [], 0
    for vault_id, owner, name, _state in workspace.stores.vault.all():
        count += 1
        if vault_id not in known:
            orphans.append(vault_id)
        elif owner.removeprefix("refusal:") != owners[vault_id] or name != known[vault_id][1]:
            found.flaw("vault", f"vault.db/{vault_id}", known[vault_id][0], "owner or field is not that of its entry")
    found.counts["vault records"] = count
    if orphans:
        found.notes.append(
            f"vault records that no entry names (a command that was never accepted): {', '.join(orphans[:5])}"
        )


def _tables(workspace: Workspace, found: Inspection, fresh: EntryStore) -> None:
    """Read tables equal a replay; entries that arrive in between are no difference."""
    entries = workspace.stores.entries
    for _ in range(TRIES):
        size = entries.size()
        differences = views.compare(entries, fresh, workspace.catalog)
        if not differences or entries.size() == size:
            break
    else:
        found.notes.append("read tables were not compared: the workspace is being written to; verify it again at rest")
        return
    for difference in differences:
        found.flaw("table", f"ledger.db/{difference.table}", None, f"{difference.side}: {difference.row[:200]}")
    found.counts["read tables"] = len(views.tables(workspace.catalog))


def _rows(operational: Flawed, found: Inspection) -> None:
    for row in operational.flaws():
        found.flaw("row", f"operational.db/{row}", None, "its MAC does not fit")
