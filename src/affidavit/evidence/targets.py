"""Verification of what is no package: a log directory of ours or others, and a receipt with its entry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from affidavit.core import envelope
from affidavit.core.digest import of_bytes
from affidavit.core.errors import AffidavitError, Invalid, NotFound, StoreDown
from affidavit.core.fields import Attachment
from affidavit.evidence import shape
from affidavit.evidence.trust import Enrolled, Trust
from affidavit.evidence.verdict import Level, Notebook, Report
from affidavit.ledger.fields import shown
from affidavit.ledger.fsck import LogReport, verify_log
from affidavit.ledger.keys import VerifierKey, parse_vkey
from affidavit.ledger.listing import Problem
from affidavit.ledger.merkle import leaf_hash
from affidavit.ledger.notes import MAX_NOTE_BYTES, parse_note
from affidavit.ledger.tiles import MAX_ENTRY_BYTES

MAX_FILE = 256 * (MAX_ENTRY_BYTES + 2)
"""Largest file of a log, bytes: a full bundle of the longest entries."""


def read_limited(path: Path, limit: int) -> bytes:
    """The bytes of a regular file, at most ``limit``. Raises ``NotFound``, ``Invalid`` or ``StoreDown``."""
    try:
        if path.is_symlink() or not path.is_file():
            raise NotFound(f"{path} is no regular file.", next_step="give the path of one.")
        with path.open("rb") as file:
            body = file.read(limit + 1)
    except OSError as e:
        raise StoreDown(f"{path} cannot be read: {e}.", next_step="check the disk and its rights.") from None
    if len(body) > limit:
        raise Invalid(f"{path} has more than {limit} bytes.", next_step="refuse it.")
    return body


def read_vkey(text: str) -> str:
    """A verifier key given as text or as the path of a file that holds one. Raises ``Invalid`` or ``NotFound``."""
    with suppress(Invalid):
        return parse_vkey(text).vkey
    body = read_limited(Path(text), 4096).decode("ascii", "replace")
    return parse_vkey(body.strip()).vkey


def verify_log_dir(
    folder: str | Path,
    vkeys: Iterable[str] = (),
    *,
    against: bytes | None = None,
    accepted: Iterable[bytes] = (),
    origin: str | None = None,
    trust: Trust | None = None,
    require: str | None = None,
    enrolled: Mapping[str, Enrolled] | None = None,
    live: bool = False,
) -> Report:
    """Check any tlog-tiles log with entry bundles, whatever its entries contain.

    Args:
        folder: the directory with ``checkpoint``.
        vkeys: keys of the log got elsewhere. With none (and nothing enrolled) ``log.vkey`` beside the folder
            is used, and the level is ``self-consistent``.
        against: the note of an older checkpoint that the reader kept.
        accepted: notes of promises that the log must keep.
        origin: the expected log, if its key bears another name.
        trust: its policy may name the log's key.
        require: the least level, as in ``verify_package``.
        enrolled: what the reader kept of logs, by origin.
        live: the log is being written to: files beyond the signed size are no flaw.

    Returns:
        Every problem. A cosignature line of an unknown key is listed as not authenticated.
    """
    root, trust, book = Path(folder), trust or Trust(), Notebook()
    stated = stated_origin(root / "checkpoint")
    mine = (enrolled or {}).get(stated)
    given: list[str | VerifierKey] = [*vkeys, *trust.log_keys]
    keys: list[str | VerifierKey] = given or ([mine.vkey] if mine else [])  # a key given now outweighs one kept before
    pinned = bool(keys)
    held = mine.note if against is None and mine is not None and (not given or mine.vkey in given) else against
    check = partial(
        verify_log, partial(_read, root), partial(_paths, root), against=held, accepted=tuple(accepted), live=live,
        origin=origin,
    )  # fmt: skip
    _check_files(root, book)
    report = _followed(check, keys or _key_beside(root), root, stated, book)
    book.problems += report.problems
    if trust.wants_witnesses:
        book.flaw("witness", "checkpoint", None, "the policy asks for witnesses; this release verifies no cosignature")
    trusted = pinned and all(p.kind != "fork" for p in book.problems)
    level: Level = "none" if not book.consistent else "pinned" if trusted else "self-consistent"
    return Report(
        "log", str(folder), level, stated, report.size, tuple(book.problems), tuple(book.notes), _loose(report),
        {"entries": report.entries, "root": report.root.hex() if report.root else "unknown"},
    ).required(require)  # fmt: skip


def stated_origin(file: Path) -> str:
    """The origin that a checkpoint file states, unverified; empty if it cannot be read."""
    with suppress(AffidavitError):
        return parse_note(read_limited(file, MAX_NOTE_BYTES)).body.split(b"\n")[0].decode()
    return ""


def _key_beside(root: Path) -> list[str | VerifierKey]:
    with suppress(AffidavitError):
        return [read_vkey(str(root.absolute().parent / "log.vkey"))]
    return []


def _read(root: Path, path: str) -> bytes:
    return read_limited(root / path, MAX_NOTE_BYTES + 1 if path == "checkpoint" else MAX_FILE)


def _followed(
    check: Callable[..., LogReport], keys: Sequence[str | VerifierKey], root: Path, origin: str, book: Notebook
) -> LogReport:
    """The report with the keys given or, when they signed no more, with the one that they were rotated to."""
    turns = _Turns(origin)
    report = check(keys, on_entry=turns.take)
    if report.checkpoint is not None or not turns.changes:
        return report
    present = turns.follow(root, keys)
    if present is not None:
        book.notes.append(f"the log was rotated from the key given to {present}")
        return check([*keys, present])
    index = turns.changes[-1][0]
    detail = f"the log was rotated to another key at entry {index}; give the new key or the package"
    book.flaw("key", "checkpoint", index, detail)
    return report


class _Turns:
    """Collects the key changes among the entries of one of our logs; foreign entries say nothing."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.changes: list[tuple[int, Attachment]] = []

    def take(self, index: int, body: bytes) -> None:
        """Look at the next entry."""
        if index and b'"ledger.key_r' not in body:
            return
        with suppress(AffidavitError):
            raw = envelope.split(body)
            statement = shape.statement(raw)
            if statement is not None and raw.head.log == self._origin:
                self.changes.append((index, statement))

    def follow(self, root: Path, trusted: Sequence[str | VerifierKey]) -> str | None:
        """The last key, if the statements beside the log lead to it from a trusted one by rotations alone."""
        from affidavit.ledger.succession import follow

        notes = []
        with suppress(AffidavitError):
            for _, statement in self.changes:
                name = statement.digest.removeprefix("sha256:")
                body = read_limited(root.absolute().parent / "objects" / "sha256" / name[:2] / name[2:], MAX_NOTE_BYTES)
                if of_bytes(body) != statement.digest:
                    return None
                notes.append(body)
        for key in trusted if len(notes) == len(self.changes) else ():
            vkey = key if isinstance(key, str) else key.vkey
            for start in range(len(notes)):
                with suppress(AffidavitError):
                    return follow(self._origin, vkey, notes[start:])[-1].vkey
        return None


def _paths(root: Path) -> list[str]:
    """Every file below the folder but those of writers under way; links are not followed."""
    return [path for path, link in _walk(root) if not link and not _is_temp(path)]


def _check_files(root: Path, book: Notebook) -> None:
    """Links are problems; what a killed writer left is worth a note."""
    for path, link in _walk(root):
        if link:
            book.flaw("unexpected", path, None, "a log has no links")
        elif _is_temp(path):
            book.notes.append(f"{path} was left by a writer that was stopped, or is just being written")


def _is_temp(path: str) -> bool:
    return path.rsplit("/", 1)[-1].startswith(".tmp-")


def _walk(root: Path) -> Iterator[tuple[str, bool]]:
    """Files and links below the folder: (path, whether it is a link)."""
    for folder, folders, files in os.walk(root):
        for name in sorted((*folders, *files)):
            path = Path(folder, name)
            link = path.is_symlink()
            if link or name in files:
                yield path.relative_to(root).as_posix(), link


def _loose(report: LogReport) -> tuple[str, ...]:
    """Bytes of a log that no known key signed: further signature lines of its checkpoint."""
    if report.checkpoint is None:
        return ()
    return tuple(
        f"checkpoint: the signature line of {s.name}, an unknown key" for s in report.checkpoint.note.unverified
    )


def verify_proof(
    file: str | Path,
    vkeys: Iterable[str] = (),
    *,
    entry: str | Path | None = None,
    trust: Trust | None = None,
    require: str | None = None,
    enrolled: Mapping[str, Enrolled] | None = None,
) -> Report:
    """Check a receipt (C2SP tlog-proof): the entry beside it (``FILE.entry``) is in the log of a signed checkpoint.

    A receipt brings no key: one must be given or enrolled.
    """
    path, trust, book = Path(file), trust or Trust(), Notebook()
    keys: list[str | VerifierKey] = [*vkeys, *trust.log_keys]
    origin, size, loose = "", 0, []
    try:
        from affidavit.ledger.proofs import parse_receipt

        receipt = parse_receipt(read_limited(path, MAX_NOTE_BYTES))
        origin = parse_note(receipt.checkpoint).body.split(b"\n")[0].decode()
        mine = (enrolled or {}).get(origin)
        if mine and not keys:
            keys = [mine.vkey]
        body = read_limited(Path(entry) if entry else path.with_name(path.name + ".entry"), MAX_ENTRY_BYTES)
        if keys:
            signed = receipt.verify(leaf_hash(body), keys)
            size = signed.checkpoint.size
            loose = [f"checkpoint: the signature line of {s.name}, an unknown key" for s in signed.note.unverified]
        else:
            book.flaw("key", "", None, f"no key of log {shown(origin)} was given: nothing of a receipt can be checked")
        if receipt.extra:
            loose.append(f"extra line: {len(receipt.extra)} bytes")
        facts = {"entry": receipt.index}
    except AffidavitError as e:
        facts = {}
        book.problems.append(Problem("proof", path.name, None, e.problem))
    level: Level = "none" if book.problems else "pinned"
    return Report("proof", str(file), level, origin, size, tuple(book.problems), (), tuple(loose), facts).required(
        require
    )


def is_proof(body: bytes) -> bool:
    """Whether a file begins like a receipt."""
    from affidavit.ledger.proofs import PROOF_HEADER

    return body.startswith(PROOF_HEADER.encode() + b"\n")
