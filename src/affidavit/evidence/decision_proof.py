"""Verification of the proof of one decision, offline: level, what it shows, every flaw. Needs the core install alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from affidavit.core.envelope import split
from affidavit.core.errors import AffidavitError
from affidavit.core.fields import time_text
from affidavit.evidence.anchors import TOLERANCE
from affidavit.evidence.targets import read_limited
from affidavit.evidence.trust import Enrolled, Trust
from affidavit.evidence.verdict import Level, Notebook, Report
from affidavit.ledger.checkpoint import SignedCheckpoint, parse_checkpoint
from affidavit.ledger.fields import shown
from affidavit.ledger.keys import VerifierKey
from affidavit.ledger.merkle import leaf_hash
from affidavit.ledger.notes import parse_note
from affidavit.ledger.proofs import parse_receipt
from affidavit.streams import proofs
from affidavit.streams.plain import bare_names, plain_row
from affidavit.streams.proofs import Anchored, DecisionProof, Proven

_SIMULATED = "/simulated"


def verify_decision_proof(
    file: str | Path,
    vkeys: Iterable[str] = (),
    *,
    trust: Trust | None = None,
    require: str | None = None,
    enrolled: Mapping[str, Enrolled] | None = None,
) -> Report:
    """Check the proof of a decision: its row is sealed in the log of a signed checkpoint, or was erased by an entry of it.

    A proof brings no key: one must be given or enrolled. ``anchored`` if a timestamp of each of its checkpoints verifies
    under a root that the reader trusts.
    """
    path, trust, book = Path(file), trust or Trust(), Notebook()
    keys: list[str | VerifierKey] = [*vkeys, *trust.log_keys]
    origin, size = "", 0
    level: Level = "none"
    facts: dict[str, Any] = {}
    loose: list[str] = []
    try:
        proof = proofs.parse_proof(read_limited(path, proofs.MAX_PROOF))
        origin = _stated_origin(proof.sealed)
        mine = (enrolled or {}).get(origin)
        keys = keys or ([mine.vkey] if mine else [])
        if not keys:
            book.flaw("key", "", None, f"no key of log {shown(origin)} was given: nothing of a proof can be checked")
        else:
            proven = proofs.verify_proof(proof, keys)
            size, facts = proven.checkpoint.checkpoint.size, _facts(proof, proven)
            parts = _parts(proof, proven, keys)
            stamped = [_anchored(book, name, part, signed, trust) for name, part, signed in parts]
            _judge(book, parts, trust, mine)
            loose = [line for name, part, signed in parts for line in _loose(name, part, signed)]
            level = "none" if book.problems else "anchored" if all(stamped) else "pinned"
    except AffidavitError as e:
        book.flaw("proof", path.name, None, e.problem)
        facts, level = {}, "none"
    return Report(
        "proof", str(file), level, origin, size, tuple(book.problems), tuple(book.notes), tuple(loose), facts
    ).required(require)


def _stated_origin(part: Anchored) -> str:
    return parse_checkpoint(parse_note(parse_receipt(part.receipt).checkpoint).body).origin


def _parts(
    proof: DecisionProof, proven: Proven, keys: list[str | VerifierKey]
) -> list[tuple[str, Anchored, SignedCheckpoint]]:
    """The sealing entry, and the erasing one if there is one, each with its verified checkpoint."""
    found = [("sealed", proof.sealed, proven.checkpoint)]
    if proof.erasure is not None:
        signed = parse_receipt(proof.erasure.receipt).verify(leaf_hash(proof.erasure.entry), keys, origin=proven.origin)
        found.append(("erasure", proof.erasure, signed))
    return found


def _facts(proof: DecisionProof, proven: Proven) -> dict[str, Any]:
    """What the proof shows, as plain values; of an erased row nothing but its place."""
    header = proven.segment
    placed = {
        "entry": proven.entry_index, "sealed at": proven.at, "segment": header.id, "row": header.first_seq + proof.index,
        "checkpoint size": proven.checkpoint.checkpoint.size,
    }  # fmt: skip
    if proven.state == "erased":
        assert proof.erasure is not None  # noqa: S101 - verified above
        return {
            "state": "erased",
            "deployment": header.deployment,
            "erasing entry": parse_receipt(proof.erasure.receipt).index,
            **placed,
        }
    plain = plain_row(proof.schema, proven.values)
    if header.kind != "decisions":
        return {"state": "verified", "row of": header.kind, "values": plain, **placed}
    names = ("caller", "subject", "tenant", "confidence", "adverse", "guard", "sources")
    return {
        "state": "verified", "decision": plain.get("id"), "decided at": plain.get("at"), "model artifact": plain.get("version"),
        "deployment": plain.get("deployment"), "configuration": plain.get("configuration"),
        "inputs": bare_names(proof.schema.inputs, plain), "outputs": bare_names(proof.schema.outputs, plain),
        **{n: plain[n] for n in names if plain.get(n) is not None}, **placed,
    }  # fmt: skip


def _anchored(book: Notebook, name: str, part: Anchored, signed: SignedCheckpoint, trust: Trust) -> bool:
    """Whether a timestamp covers the checkpoint of a part. A stamp that does not verify under the roots is a flaw."""
    if not part.timestamps:
        return False
    if not trust.tsa_roots:
        book.notes.append(f"{name}: {len(part.timestamps)} timestamps not verified: no root of an authority was given")
        return False
    from affidavit.ledger.timestamps import verify_timestamp

    for number, stamp in enumerate(part.timestamps):
        place = f"{name}/timestamps/{number}"
        try:
            at = verify_timestamp(signed.note.body, stamp, trust.tsa_roots).at
        except AffidavitError as e:
            book.flaw("timestamp", place, None, e.problem)
            return False
        claimed = split(part.entry).head.at
        if claimed > at + TOLERANCE and not signed.checkpoint.origin.endswith(_SIMULATED):
            detail = f"the entry says {time_text(claimed)}, but existed at {time_text(at)}"
            book.flaw("time", place, None, detail)
        book.notes.append(f"{name}: an authority saw the checkpoint at {time_text(at)}")
    return True


def _judge(
    book: Notebook, parts: list[tuple[str, Anchored, SignedCheckpoint]], trust: Trust, mine: Enrolled | None
) -> None:
    """Forks against the checkpoint kept before; a policy's witnesses, which this release does not verify."""
    if trust.wants_witnesses:
        book.flaw("witness", "checkpoint", None, "the policy asks for witnesses; this release verifies no cosignature")
    seen: dict[int, bytes] = {mine.checkpoint.size: mine.checkpoint.root} if mine else {}
    for name, _, signed in parts:
        size, root = signed.checkpoint.size, signed.checkpoint.root
        if seen.setdefault(size, root) != root:
            book.flaw("fork", name, None, f"the log signed two histories of size {size}: keep both checkpoints")


def _loose(name: str, part: Anchored, signed: SignedCheckpoint) -> list[str]:
    """Bytes of a part that no known key signed."""
    receipt = parse_receipt(part.receipt)
    found = [f"{name} checkpoint: the signature line of {s.name}, an unknown key" for s in signed.note.unverified]
    return [*found, *([f"{name} extra line: {len(receipt.extra)} bytes"] if receipt.extra else [])]
