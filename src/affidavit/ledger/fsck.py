"""Verify a whole log: any directory in tlog-tiles layout with entry bundles, whatever its entries contain.

Findings are values: every flaw is returned with its place, and nothing is raised for a flawed log. Only
what keeps the verifier from reading (``StoreDown``) is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from affidavit.core.errors import AffidavitError, NotFound
from affidavit.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from affidavit.ledger.fields import shown
from affidavit.ledger.keys import VerifierKey
from affidavit.ledger.listing import Listing, Problem
from affidavit.ledger.notes import verifier_keys
from affidavit.ledger.tiles import Read
from affidavit.ledger.walk import OnEntry, Walk

__all__ = ["ListPaths", "LogReport", "OnEntry", "Problem", "verify_log"]

ListPaths = Callable[[], Iterable[str]]
"""Every file below the log directory, as paths with ``/`` relative to it, in any order."""


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a verification found.

    ``checkpoint`` is the verified one, or None. ``size`` is the number of entries walked over (the signed
    size, or what the bundles span without a verified checkpoint), ``root`` the recomputed root (None when
    resources are missing), ``entries`` and ``resources`` what was read. ``ahead`` are resources beyond the
    signed size: a publication under way, or a log cut back. The log is sound when ``problems`` is empty.
    """

    checkpoint: SignedCheckpoint | None
    size: int
    root: bytes | None
    entries: int
    resources: int
    problems: tuple[Problem, ...]
    ahead: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no problem was found; true of a signed empty log."""
        return not self.problems


def verify_log(
    read: Read,
    list_paths: ListPaths,
    vkeys: Iterable[str | VerifierKey],
    *,
    against: bytes | None = None,
    accepted: Sequence[bytes] = (),
    on_entry: OnEntry | None = None,
    origin: str | None = None,
    live: bool = False,
) -> LogReport:
    """Check signature, every bundle, every tile, the root, an older checkpoint and promises, in one pass.

    Args:
        read: bytes of a file of the log directory by relative path; raises ``NotFound``.
        list_paths: every file below the log directory.
        vkeys: trusted keys of the log.
        against: the note of an older checkpoint that the caller kept; the log must extend it.
        accepted: notes of promises (``proofs.Accepted``) that the caller kept; the log must keep them.
        on_entry: called with (index, body) for each entry that the tiles vouch for, in order; an
            ``AffidavitError`` that it raises becomes a problem of kind ``content``.
        origin: the expected log, if its keys bear another name.
        live: the log is being written to: resources beyond the signed size are listed but no problem.

    Returns:
        Every problem found. Memory does not grow with the log, except for the listing of its files.

    Raises:
        Invalid: a malformed key in ``vkeys``. A flawed log raises nothing.

    Source: C2SP tlog-tiles, tlog-checkpoint; RFC 6962 section 2.1.
    """
    keys = verifier_keys(vkeys)
    problems: list[Problem] = []
    head = _open_head(read, keys, origin, problems)
    listing = Listing(list_paths())
    problems += [Problem("unexpected", path, None, "no log has a file of this name") for path in listing.unexpected]
    size = head.checkpoint.size if head else listing.extent()
    root = head.checkpoint.root if head else None
    old = _open_old(against, keys, origin, problems)
    promises = _open_promises(accepted, keys, head, size, problems)
    walk = Walk(
        read,
        listing,
        size,
        root,
        on_entry=on_entry,
        watched=promises,
        snapshot_at=old.checkpoint.size if old and old.checkpoint.size else None,
    )
    computed = walk.run()
    problems += walk.problems
    _judge_root(root, computed, problems)
    _judge_old(old, head, size, walk.snapshot, problems)
    ahead = tuple(tile.path for tile in listing.ahead(size))
    if not live:
        problems += [Problem("ahead", path, None, f"it reaches beyond the signed size {size}") for path in ahead]
    return LogReport(head, size, computed, walk.entries, walk.tiles, tuple(problems), ahead)


def _open_head(
    read: Read, keys: Sequence[VerifierKey], origin: str | None, problems: list[Problem]
) -> SignedCheckpoint | None:
    try:
        return open_checkpoint(read("checkpoint"), keys, origin=origin)
    except NotFound:
        problems.append(Problem("missing", "checkpoint", None, "the log has no checkpoint"))
    except AffidavitError as error:
        detail = f"{error.problem} The rest was checked for agreement within itself only."
        problems.append(Problem("checkpoint", "checkpoint", None, detail))
    return None


def _open_old(
    against: bytes | None, keys: Sequence[VerifierKey], origin: str | None, problems: list[Problem]
) -> SignedCheckpoint | None:
    if against is None:
        return None
    try:
        return open_checkpoint(against, keys, origin=origin)
    except AffidavitError as error:
        problems.append(Problem("checkpoint", "", None, f"the older checkpoint does not verify: {error.problem}"))
        return None


def _open_promises(
    notes: Sequence[bytes],
    keys: Sequence[VerifierKey],
    head: SignedCheckpoint | None,
    size: int,
    problems: list[Problem],
) -> dict[int, list[bytes]]:
    """Promised leaf hashes by index; promises that cannot be judged or lie beyond the log are problems."""
    promised: dict[int, list[bytes]] = {}
    if not notes:
        return promised
    from affidavit.ledger.proofs import open_accepted  # most verifications have no promises to judge

    for note in notes:
        try:
            promise = open_accepted(note, keys)
        except AffidavitError as error:
            problems.append(Problem("omission", "", None, f"a promise does not verify: {error.problem}"))
            continue
        if head is not None and promise.origin != head.checkpoint.origin:
            detail = f"a promise of another log, {shown(promise.origin)}, cannot be judged by this one"
            problems.append(Problem("omission", "", promise.index, detail))
        elif promise.index >= size:
            detail = f"promised at {promise.index}; the log has only {size} entries: not yet published, or cut back"
            problems.append(Problem("omission", "", promise.index, detail))
        else:
            promised.setdefault(promise.index, []).append(promise.leaf_hash)
    return promised


def _judge_root(signed: bytes | None, computed: bytes | None, problems: list[Problem]) -> None:
    if computed is None:
        problems.append(Problem("root", "checkpoint", None, "the root cannot be recomputed: resources are missing"))
    elif signed is not None and signed != computed:
        detail = f"the log hashes to {computed.hex()}, the checkpoint signs {signed.hex()}"
        problems.append(Problem("root", "checkpoint", None, detail))


def _judge_old(
    old: SignedCheckpoint | None,
    head: SignedCheckpoint | None,
    size: int,
    snapshot: bytes | None,
    problems: list[Problem],
) -> None:
    """The log extends the older checkpoint: not smaller, the same log, and the same root at the older size."""
    if old is None:
        return
    held = old.checkpoint
    if head is not None and head.checkpoint.origin != held.origin:
        detail = f"the older checkpoint is of another log, {shown(held.origin)}"
    elif held.size > size:
        detail = f"the log has {size} entries, the older checkpoint {held.size}: entries were cut off"
    elif held.size and snapshot is None:
        detail = f"the root at size {held.size} cannot be recomputed: resources are missing"
    elif held.size and snapshot != held.root:
        detail = f"at size {held.size} the log has another root than the older checkpoint: history was rewritten"
    else:
        return
    problems.append(Problem("fork", "checkpoint", None, detail))
