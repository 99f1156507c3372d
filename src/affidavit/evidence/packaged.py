"""The checks of a package, in order: zip, manifest, files, log, entries, keys, what hangs on them, level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from affidavit.core.errors import AffidavitError, Invalid, NotFound, Tampered
from affidavit.evidence import manifest as m
from affidavit.evidence.anchors import check_timestamps
from affidavit.evidence.archive import Archive, open_archive
from affidavit.evidence.contents import check_attachments, check_disclosures, check_findings, guarded
from affidavit.evidence.entries import EntryCheck
from affidavit.evidence.lineage import Lineage, check_lineage, judge_keys
from affidavit.evidence.prefix import root_at
from affidavit.evidence.trust import Enrolled, Trust
from affidavit.evidence.verdict import Level, Notebook, Report
from affidavit.ledger.checkpoint import open_checkpoint
from affidavit.ledger.fields import HASH_BYTES, base64_bytes, shown, text_lines
from affidavit.ledger.fsck import verify_log
from affidavit.ledger.keys import VerifierKey, parse_vkey
from affidavit.ledger.listing import Problem
from affidavit.ledger.merkle import verify_consistency

_STATEMENT_LIMIT = 1_000_000


@dataclass
class Package:
    """A package under verification, as far as it could be read."""

    archive: Archive
    book: Notebook
    key: VerifierKey | None = None
    manifest: m.Manifest | None = None
    origin: str = ""
    root: bytes | None = None
    size: int = 0
    lineage: Lineage = field(default_factory=Lineage)
    entries: EntryCheck | None = None
    anchored: bool = False
    held: bool = False

    def log(self, path: str) -> bytes:
        """A file of the packaged log."""
        return self.archive.read(f"log/{path}", m.JSON_LIMIT)


def verify_package(
    target: str | Path | BinaryIO,
    *,
    vkeys: Iterable[str] = (),
    trust: Trust | None = None,
    require: str | None = None,
    enrolled: Mapping[str, Enrolled] | None = None,
) -> Report:
    """Check a package whole: every byte of the zip, the signatures, the log, the entries, what hangs on them.

    Args:
        target: the zip, as a path or an open seekable file.
        vkeys: log keys the reader got elsewhere; one of them must lead to the key that signed.
        trust: further log keys (a tlog-policy) and roots of timestamp authorities.
        require: the least level; a lower one is a problem.
        enrolled: what the reader kept of logs, by origin (``read_enrolled``).

    Returns:
        Every problem found; a flawed package raises nothing.

    Raises:
        Invalid: a malformed key or level, or a file that is no zip. NotFound: no such file.
        StoreDown: it cannot be read.
    """
    trust = trust or Trust()
    given = [parse_vkey(v) for v in vkeys] + list(trust.log_keys)
    name = target if isinstance(target, (str, Path)) else getattr(target, "name", "package")
    book = Notebook()
    with opened(target) as file:
        try:
            package = Package(open_archive(file), book)
        except (Tampered, Invalid) as e:
            book.flaw("archive", "", None, e.problem)
            return Report("package", str(name), "none", problems=tuple(book.problems)).required(require)
        _check_all(package, given, trust, enrolled or {})
    level = _level(package, given, enrolled or {})
    return Report(
        "package", str(name), level, package.origin, package.size, tuple(book.problems), tuple(book.notes),
        facts=_facts(package),
    ).required(require)  # fmt: skip


@contextmanager
def opened(target: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    """The target as an open file. Raises ``NotFound``."""
    if not isinstance(target, (str, Path)):
        yield target
        return
    try:
        file = Path(target).open("rb")  # noqa: SIM115 - closed below
    except OSError as e:
        raise NotFound(f"{target} cannot be opened: {e}.", next_step="give the path of a package.") from None
    with file:
        yield file


def _check_all(package: Package, given: list[VerifierKey], trust: Trust, enrolled: Mapping[str, Enrolled]) -> None:
    book, archive = package.book, package.archive
    try:
        _open_manifest(package)
    except m.UnknownVersion as e:
        book.flaw("version", m.MANIFEST, None, str(e))
        return
    _check_names(package)
    _check_files(package)
    if package.manifest is None or package.key is None:
        return
    mine = enrolled.get(package.origin)
    guarded(book, "log", "log", partial(_check_log, package, mine))
    entries = package.entries
    if entries is None or package.root is None:
        return
    guarded(book, "succession", "keys", partial(_check_keys, package, entries))
    guarded(book, "fork", m.LATER_CHECKPOINT, partial(_check_later, package, mine))
    check_attachments(book, archive, entries, package.manifest)
    guarded(book, "disclosure", "disclosures.json", partial(check_disclosures, book, archive, entries))
    guarded(
        book, "finding", "findings.json",
        lambda: _note_findings(package, check_findings(book, archive, package.manifest, package.root.hex())),  # type: ignore[arg-type,union-attr]
    )  # fmt: skip
    stamps = {s: archive.read(f"timestamps/{s}.tsr", _STATEMENT_LIMIT) for s in _stamped(archive)}
    package.anchored = check_timestamps(
        book, stamps, trust.tsa_roots, package.origin, package.size, entries,
        lambda size: root_at(package.log, size, package.size),
    )  # fmt: skip
    if trust.wants_witnesses:
        book.flaw("witness", m.CHECKPOINT, None, "the policy asks for witnesses; this release verifies no cosignature")
    judge_keys(book, package.lineage, package.key, given, mine, held=package.held)


def _open_manifest(package: Package) -> None:
    """Key, manifest and note. What cannot be opened is a problem, except an unknown version, which is raised."""
    book, archive = package.book, package.archive
    body = b""
    try:
        body = archive.read(m.MANIFEST, m.JSON_LIMIT)
        package.manifest = m.parse_manifest(body)
        package.origin, package.size = package.manifest.origin, package.manifest.as_of
    except m.UnknownVersion:
        raise
    except AffidavitError as e:
        book.flaw("manifest", m.MANIFEST, None, e.problem)
    try:
        text = archive.read(m.VKEY, 400)
        package.key = parse_vkey(text.decode("ascii", "replace").removesuffix("\n"))
        if text != (package.key.vkey + "\n").encode():
            raise Invalid("it is not one line with one key.", next_step="ask for the package again.")
    except AffidavitError as e:
        book.flaw("manifest", m.VKEY, None, e.problem)
        return
    guarded(book, "manifest", m.NOTE, partial(_check_note, package, package.key, body))


def _check_note(package: Package, key: VerifierKey, body: bytes) -> None:
    origin, as_of, digest = m.open_note(package.archive.read(m.NOTE, m.NOTE_LIMIT), key)
    found = package.archive.digests.get(m.MANIFEST, "")
    if digest != found:
        package.book.flaw("manifest", m.MANIFEST, None, f"it hashes to {found or 'nothing'}, signed is {digest}")
    manifest = package.manifest
    if (
        manifest is not None
        and body
        and (manifest.origin, manifest.as_of, manifest.log_key) != (origin, as_of, key.vkey)
    ):
        package.book.flaw("manifest", m.NOTE, None, "it is about another log, size or key than the manifest")


def _check_names(package: Package) -> None:
    archive = package.archive
    for name in archive.members:
        if not m.allowed(name):
            archive.flaw(shown(name), "the format has no file of this name")
    if archive.order != m.order(archive.order):
        archive.flaw("", "the members are not in their order")


def _check_files(package: Package) -> None:
    """Every file against the manifest; the zip's own complaint about the same bytes is then left out."""
    archive, book = package.archive, package.book
    named: set[str] = set()
    if package.manifest is not None:
        listed = {f.path: f for f in package.manifest.files}
        if len(listed) != len(package.manifest.files):
            book.flaw("manifest", m.MANIFEST, None, "it lists a file twice")
        for path, file in listed.items():
            if path not in archive.members:
                book.flaw("missing", path, None, "the manifest lists this file and it is not in the zip")
            elif (archive.digests[path], archive.members[path].size) != (file.sha256, file.bytes):
                book.flaw(
                    "digest", path, None, f"it hashes to {archive.digests[path]}, the manifest says {file.sha256}"
                )
                named.add(path)
        extra = archive.members.keys() - listed.keys() - {m.MANIFEST, m.NOTE}
        for path in sorted(extra):
            book.flaw("unexpected", shown(path) if not m.allowed(path) else path, None, "the manifest does not list it")
    book.problems += [p for p in archive.problems if p.kind != "crc" or p.path not in named]
    archive.problems.clear()


def _check_log(package: Package, mine: Enrolled | None) -> None:
    """The log: signature, tiles, root, each entry; and that it extends the checkpoint that the reader kept."""
    book, archive, key, manifest = package.book, package.archive, package.key, package.manifest
    if key is None or manifest is None:
        return
    entries = EntryCheck(package.origin, book, frozenset(_stamped(archive)))
    keys: list[str | VerifierKey] = [key]
    against = None
    if mine is not None and _enrolled_size(book, mine) <= manifest.as_of:
        keys, against = [key, mine.vkey], mine.note
    report = verify_log(
        package.log, lambda: [p.removeprefix("log/") for p in archive.members if p.startswith("log/")], keys,
        against=against, on_entry=entries.take, origin=package.origin,
    )  # fmt: skip
    entries.finish()
    book.problems += [Problem(p.kind, _log_path(p.path), p.index, p.detail) for p in report.problems]
    package.held = against is not None and all(p.kind != "fork" for p in report.problems)
    if report.checkpoint is None:
        return
    note = report.checkpoint.note
    if not note.signed_by(key) or note.unverified:
        book.flaw("checkpoint", m.CHECKPOINT, None, "it is not signed by the log key of the package alone")
    if report.size != manifest.as_of:
        book.flaw("checkpoint", m.CHECKPOINT, None, f"it has size {report.size}, the manifest says {manifest.as_of}")
    if entries.clock != manifest.clock or (manifest.label == "simulated") != (manifest.clock == "simulated"):
        book.flaw("manifest", m.MANIFEST, 0, "clock or label are not those of entry 0")
    package.size, package.root, package.entries = report.size, report.root, entries


def _log_path(path: str) -> str:
    return f"log/{path}" if path else "log"


def _stamped(archive: Archive) -> list[int]:
    """The sizes of the timestamps in the package, ascending."""
    names = [n.removeprefix("timestamps/").removesuffix(".tsr") for n in archive.members if n.startswith("timestamps/")]
    return sorted(int(n) for n in names if n.isascii() and n.isdigit() and len(n) < 16)


def _enrolled_size(book: Notebook, mine: Enrolled) -> int:
    """The enrolled size, or one beyond any package when the kept checkpoint itself does not verify."""
    with suppress(AffidavitError):
        return mine.checkpoint.size
    book.flaw("fork", "", None, "the enrolled checkpoint does not verify with the enrolled key")
    return 1 << 63


def _check_keys(package: Package, entries: EntryCheck) -> None:
    names = sorted(n for n in package.archive.members if n.startswith("keys/"))
    notes = [package.archive.read(n, _STATEMENT_LIMIT) for n in names]
    if names != [f"keys/{n:04d}.note" for n in range(1, len(names) + 1)]:
        raise Invalid("the key changes are not numbered from 0001 on.", next_step="ask for the package again.")
    if package.key is not None:
        package.lineage = check_lineage(package.book, package.origin, entries, notes, package.key)


def _check_later(package: Package, mine: Enrolled | None) -> None:
    """A later checkpoint in the package extends its log; what the reader enrolled is met, if it is that one."""
    archive, book = package.archive, package.book
    held = None
    if m.LATER_CHECKPOINT in archive.members and package.root is not None and package.key is not None:
        note = archive.read(m.LATER_CHECKPOINT, m.NOTE_LIMIT)
        keys = [package.key.vkey, *(term.vkey for term in package.lineage.terms)]
        later = open_checkpoint(note, keys, origin=package.origin).checkpoint
        lines = text_lines(archive.read(m.LATER_PROOF, m.NOTE_LIMIT), m.LATER_PROOF)
        proof = [base64_bytes(line, "hash of the proof", length=HASH_BYTES) for line in lines]
        verify_consistency(package.size, later.size, proof, package.root, later.root)
        book.notes.append(f"the log is the beginning of the one with the signed checkpoint of size {later.size}")
        held = later
    if mine is None or package.held:
        return
    with suppress(AffidavitError):
        kept = mine.checkpoint
        if held is not None and held.size == kept.size:
            package.held = held.root == kept.root
            if not package.held:
                book.flaw("fork", m.LATER_CHECKPOINT, None, f"at size {kept.size} you were shown another history")
        elif kept.size > package.size:
            book.notes.append(
                f"you enrolled a checkpoint of size {kept.size}, later than this package: ask for one written against it"
            )


def _note_findings(package: Package, rows: list[dict[str, Any]]) -> None:
    exceptions = [row["control"] for row in rows if row["headline"] == "exception"]
    package.book.notes.append(
        "findings are management's; `reperform` recomputes them from the entries"
        + (f". Exceptions noted: {', '.join(exceptions)}" if exceptions else "")
    )
    if package.manifest is not None and package.manifest.label:
        package.book.notes.append("the clock is simulated: nothing in the package is evidence of operation")


def _level(package: Package, given: list[VerifierKey], enrolled: Mapping[str, Enrolled]) -> Level:
    if not package.book.consistent or package.entries is None:
        return "none"
    pinned = bool(given or package.origin in enrolled) and all(
        p.kind not in ("key", "fork") for p in package.book.problems
    )
    if not pinned:
        return "self-consistent"
    return "anchored" if package.anchored else "pinned"


def _facts(package: Package) -> dict[str, Any]:
    manifest = package.manifest
    if manifest is None:
        return {}
    return {
        "as of": manifest.as_of,
        "files": len(package.archive.members),
        "label": manifest.label or "management's self-test",
        "log key": package.key.vkey if package.key else "",
        "period": f"{manifest.period.start.isoformat()} to {manifest.period.end.isoformat()}",
        "written by": f"{manifest.product.name} {manifest.product.version}",
    }
