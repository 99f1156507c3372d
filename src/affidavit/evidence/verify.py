"""Verify a package, a log, a receipt or a decision's proof offline, with the core install alone: every flaw is named.

Imports no area, no YAML, no numpy. Nothing is extracted, nothing of a target is executed. Formats:
docs/spec/package.md, docs/spec/log.md, docs/spec/entries.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from affidavit.core.errors import Invalid, NotFound
from affidavit.evidence import manifest as m
from affidavit.evidence.archive import open_archive
from affidavit.evidence.packaged import opened, verify_package
from affidavit.evidence.targets import is_proof, read_limited, read_vkey, verify_log_dir, verify_proof
from affidavit.evidence.trust import Enrolled, Trust, enrol, read_enrolled, read_trust
from affidavit.evidence.verdict import LEVELS, Level, Report
from affidavit.ledger.listing import Problem
from affidavit.ledger.notes import MAX_NOTE_BYTES

__all__ = [
    "LEVELS", "Enrolled", "Level", "Problem", "Report", "Trust", "enrol", "enrol_target", "read_enrolled",
    "read_trust", "read_vkey", "verify_log_dir", "verify_package", "verify_proof", "verify_target",
]  # fmt: skip

VerifyWorkspace = Callable[[Path], Report]


def verify_target(
    target: str | Path,
    *,
    vkeys: Iterable[str] = (),
    against: bytes | None = None,
    trust: Trust | None = None,
    require: str | None = None,
    enrolled: Mapping[str, Enrolled] | None = None,
    workspace: VerifyWorkspace | None = None,
) -> Report:
    """Verify whatever ``target`` is: a zip, a receipt, a decision's proof, a log folder, a workspace folder.

    A log has ``checkpoint``, a workspace ``affidavit.toml``: ``workspace`` verifies the last of these, and the level
    that it reports is kept. Raises ``NotFound`` for what is none of them, and what the single verifiers raise.
    """
    path = Path(target)
    if path.is_dir():
        if (path / "affidavit.toml").is_file():
            if workspace is None:
                raise Invalid("this verifier knows no workspaces.", next_step="verify its log folder, or use the CLI.")
            return workspace(path).required(require)
        if (path / "checkpoint").exists() or (path / "tile").is_dir():
            return verify_log_dir(path, vkeys, against=against, trust=trust, require=require, enrolled=enrolled)
        raise NotFound(f"{path} is neither a log nor a workspace: no checkpoint, no affidavit.toml.",
                       next_step="give the folder of one, a package, or a .tlog-proof file.")  # fmt: skip
    if not path.is_file():
        raise NotFound(f"{path} does not exist.", next_step="give a package, a receipt, a log or a workspace.")
    start = _start(path)
    if start[:1] == b"{":  # the proof of a decision; a receipt begins with words, a package with PK
        from affidavit.evidence.decision_proof import verify_decision_proof

        return verify_decision_proof(path, vkeys, trust=trust, require=require, enrolled=enrolled)
    if path.suffix in (".proof", ".tlog-proof") or (start[:2] != b"PK" and is_proof(start)):
        return verify_proof(path, vkeys, trust=trust, require=require, enrolled=enrolled)
    return verify_package(path, vkeys=vkeys, against=against, trust=trust, require=require, enrolled=enrolled)


def _start(path: Path) -> bytes:
    with opened(path) as file:
        return file.read(64)


def enrol_target(target: str | Path, file: Path, *, vkey: str | None = None) -> Enrolled:
    """Verify a package or log, then keep its key and checkpoint in ``file`` for later verifications.

    ``vkey`` is the key got from the owner; without it the target's own key is believed, this once. A log
    enrolled before must be met: its key must lead to the new one, and its history be continued.
    Raises ``Invalid`` naming the first problem when the target does not verify, and what ``enrol`` raises.
    """
    path, known = Path(target), read_enrolled(file)
    report = verify_target(path, vkeys=[vkey] if vkey else [], enrolled=known)
    if not report.ok or report.kind not in ("package", "log"):
        first = report.problems[0] if report.problems else f"a {report.kind} brings no log key"
        raise Invalid(f"{path} is not enrolled: {first}.", next_step="enrol a package or log that verifies.")
    if report.kind == "package":
        with opened(path) as stream:
            archive = open_archive(stream)
            note = archive.read(m.CHECKPOINT, MAX_NOTE_BYTES)
            found = archive.read(m.VKEY, 400).decode().strip()
    else:
        note = read_limited(path / "checkpoint", MAX_NOTE_BYTES)
        beside = path.absolute().parent / "log.vkey"
        found = vkey or (known[report.origin].vkey if report.origin in known else read_vkey(str(beside)))
    return enrol(report.origin, found, note, file, successor=report.kind == "package")
