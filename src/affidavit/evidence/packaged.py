"""The checks of a package, in order: zip, manifest, files, log, entries, keys, what hangs on them, level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from affidavit.core.errors import AffidavitError, Invalid, NotFound, Tampered
from affidavit.evidence import manifest as m
from affidavit.evidence.anchors import check_timestamps
from affidavit.evidence.archive import Archive, open_archive
from affidavit.evidence.contents import check_attachments, check_disclosures, check_findings, guarded
from affidavit.evidence.entries import EntryCheck
from affidavit.evidence.keyline import Lineage, check_lineage, judge_keys
from affidavit.evidence.prefix import root_at
from affidavit.evidence.trust import Enrolled, Trust
from affidavit.evidence.verdict import Level, Notebook, Report
from affidavit.ledger.checkpoint import Checkpoint, open_checkpoint
from affidavit.ledger.fields import HASH_BYTES, base64_bytes, shown, text_lines
from affidavit.ledger.fsck import verify_log
from affidavit.ledger.keys import VerifierKey, parse_vkey
from affidavit.ledger.listing import Problem
from affidavit.ledger.merkle import verify_consistency

_STATEMENT_LIMIT = 1_000_000
_NO_LINE = Lineage()


@dataclass(eq=False, repr=False)
class Package:
    """A package under verification, as far as it could be read."""

    archive: Archive
    book: Notebook
    key: VerifierKey | None = None
    manifest: m.Manifest | None = None
    origin: str = ""
    root: bytes | None = None
    size: int = 0
    lineage: Lineage = _NO_LINE
    entries: EntryCheck | None = None
    later: Checkpoint | None = None
    anchored: bool = False

    @property
    def keys(self) -> list[str]:
        """The keys of the log's line, the one that signed among them."""
        return [*([self.key.vkey] if self.key else []), *self.lineage.vkeys]

    def root_at(self, size: int) -> bytes:
        """The root of the packaged log at an earlier size."""
        return root_at(self.log, size, self.size)

    def log(self, path: str) -> bytes:
        """A file of the packaged log."""
        return self.archive.read(f"log/{path}", m.LOG_LIMIT)


def verify_package(
    target: str | Path | BinaryIO,
    *,
    vkeys: Iterable[str] = (),
    against: bytes | None = None,
    trust: Trust | None = None,
    require: str | None = None,
    enrolled: Mapping[str, Enrolled] | None = None,
) -> Report:
    """Check a package whole: every byte of the zip, the signatures, the log, the entries, what hangs on them.

    Args:
        target: the zip, as a path or an open seekable file.
        vkeys: log keys the reader got elsewhere; one of them must lead to the key that signed.
        against: the note of a checkpoint that the reader kept; the packaged log must agree with it.
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
        _check_all(package, given, trust, enrolled or {}, against)
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


def _check_all(
    package: Package,
    given: list[VerifierKey],
    trust: Trust,
    enrolled: Mapping[str, Enrolled],
    against: bytes | None,
) -> None:
    book = package.book
    try:
        _open_manifest(package)
    except m.UnknownVersion as e:
        book.flaw("version", m.MANIFEST, None, str(e))
        return
    _check_names(package)
    _check_files(package)
    if package.manifest is None or package.key is None:
        return
    guarded(book, "log", "log", partial(_check_log, package, package.key, package.manifest))
    if package.entries is None or package.root is None:
        return
    _check_contents(package, package.manifest, package.entries, package.root)
    guarded(book, "succession", "keys", partial(_check_keys, package, package.entries, package.key))
    guarded(book, "fork", m.LATER_CHECKPOINT, partial(_check_later, package, package.root))
    mine = enrolled.get(package.origin)
    held = _meets_enrolled(package, mine)
    if against is not None:
        guarded(book, "fork", "", partial(_meets_kept, package, against))
    guarded(book, "timestamp", "timestamps", partial(_check_anchors, package, package.entries, trust))
    if trust.wants_witnesses:
        book.flaw("witness", m.CHECKPOINT, None, "the policy asks for witnesses; this release verifies no cosignature")
    judge_keys(book, package.lineage, package.key, given, mine, held=held)


def _check_contents(package: Package, manifest: m.Manifest, entries: EntryCheck, root: bytes) -> None:
    book, archive = package.book, package.archive

    def findings() -> None:
        _note_findings(package, check_findings(book, archive, manifest, root.hex()))

    check_attachments(book, archive, entries, manifest)
    guarded(book, "disclosure", "disclosures.json", partial(check_disclosures, book, archive, entries))
    guarded(book, "finding", "findings.json", findings)


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


def _check_log(package: Package, key: VerifierKey, manifest: m.Manifest) -> None:
    """The log: signature, tiles, root, each entry."""
    book, archive = package.book, package.archive
    entries = EntryCheck(package.origin, book, frozenset(_stamped(archive)))
    report = verify_log(
        package.log, lambda: [p.removeprefix("log/") for p in archive.members if p.startswith("log/")], [key],
        on_entry=entries.take, origin=package.origin,
    )  # fmt: skip
    entries.finish()
    book.problems += [Problem(p.kind, _log_path(p.path), p.index, p.detail) for p in report.problems]
    if report.checkpoint is None:
        return
    if report.checkpoint.note.unverified:
        book.flaw("checkpoint", m.CHECKPOINT, None, "it has further signature lines, which nothing vouches for")
    if report.size != manifest.as_of:
        book.flaw("checkpoint", m.CHECKPOINT, None, f"it has size {report.size}, the manifest says {manifest.as_of}")
    if entries.clock != manifest.clock or (manifest.label == "simulated") != (manifest.clock == "simulated"):
        book.flaw("manifest", m.MANIFEST, 0, "clock or label are not those of entry 0")
    package.size, package.root, package.entries = report.size, report.root, entries


def _log_path(path: str) -> str:
    return f"log/{path}" if path else "log"


def _stamped(archive: Archive) -> list[int]:
    """The sizes of the timestamps in the package, ascending."""
    names = [n for n in archive.members if n.startswith("timestamps/") and m.allowed(n)]
    return sorted(int(n.removeprefix("timestamps/").removesuffix(".tsr")) for n in names)


def _check_anchors(package: Package, entries: EntryCheck, trust: Trust) -> None:
    archive = package.archive
    stamps = {s: archive.read(f"timestamps/{s}.tsr", _STATEMENT_LIMIT) for s in _stamped(archive)}
    package.anchored = check_timestamps(
        package.book, stamps, trust.tsa_roots, package.origin, package.size, entries, package.root_at
    )


def _check_keys(package: Package, entries: EntryCheck, key: VerifierKey) -> None:
    names = sorted(n for n in package.archive.members if n.startswith("keys/"))
    notes = [package.archive.read(n, _STATEMENT_LIMIT) for n in names]
    if names != [f"keys/{n:04d}.note" for n in range(1, len(names) + 1)]:
        raise Invalid("the key changes are not numbered from 0001 on.", next_step="ask for the package again.")
    package.lineage = check_lineage(package.book, package.origin, entries, notes, key)


def _check_later(package: Package, root: bytes) -> None:
    """A later checkpoint in the package, if any, is signed in the log's line of keys and extends its log."""
    archive = package.archive
    if not {m.LATER_CHECKPOINT, m.LATER_PROOF} & archive.members.keys():
        return
    later = open_checkpoint(
        archive.read(m.LATER_CHECKPOINT, m.NOTE_LIMIT), package.keys, origin=package.origin
    ).checkpoint
    lines = text_lines(archive.read(m.LATER_PROOF, m.NOTE_LIMIT), m.LATER_PROOF)
    proof = [base64_bytes(line, "hash of the proof", length=HASH_BYTES) for line in lines]
    verify_consistency(package.size, later.size, proof, root, later.root)
    package.book.notes.append(f"the log is the beginning of the one with the signed checkpoint of size {later.size}")
    package.later = later


def _meets_enrolled(package: Package, mine: Enrolled | None) -> bool:
    if mine is None:
        return False
    try:
        return _meets(package, mine.checkpoint, "you enrolled")
    except AffidavitError as e:
        package.book.flaw("fork", "", None, f"the enrolled checkpoint does not verify: {e.problem}")
        return False


def _meets_kept(package: Package, note: bytes) -> None:
    _meets(package, open_checkpoint(note, package.keys, origin=package.origin).checkpoint, "you kept")


def _meets(package: Package, held: Checkpoint, whose: str) -> bool:
    """Whether the packaged log is shown to be one with the checkpoint that the reader holds; a fork is a problem."""
    if held.size <= package.size:
        found: bytes | None = package.root_at(held.size) if held.size else None
    else:
        found = package.later.root if package.later and package.later.size == held.size else None
        if found is None:
            detail = (
                f"{whose} a checkpoint of size {held.size}, later than this package: ask for one written against it"
            )
            package.book.notes.append(detail)
    if found is not None and found != held.root:
        detail = f"at size {held.size} the log has another root than the checkpoint {whose}: history was rewritten"
        package.book.flaw("fork", m.CHECKPOINT, None, detail)
    return found == held.root


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
