"""The line of a log's keys, from the one that entry 0 names to the one that signed, and where the reader stands in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affidavit.core.digest import of_bytes
from affidavit.evidence.entries import EntryCheck
from affidavit.evidence.trust import Enrolled, leads
from affidavit.evidence.verdict import Notebook
from affidavit.ledger.keys import VerifierKey
from affidavit.ledger.succession import KeyTerm, follow


@dataclass(frozen=True, slots=True)
class Lineage:
    """The keys of the log in order, and the notes that led from each to the next."""

    terms: tuple[KeyTerm, ...] = ()
    changes: tuple[bytes, ...] = ()


def check_lineage(
    book: Notebook, origin: str, entries: EntryCheck, notes: Sequence[bytes], key: VerifierKey
) -> Lineage:
    """Follow the key changes from entry 0 and check that they end at ``key``.

    Changes recorded below the package's size are those of ``notes`` in order; later ones may follow.
    Raises ``Invalid`` or ``Tampered`` when the line is broken.
    """
    terms = follow(origin, entries.log_key, notes, recovery_vkey=entries.recovery_key)
    recorded = [statement.digest for _, statement in entries.changes]
    if recorded != [of_bytes(note) for note in notes[: len(recorded)]]:
        book.flaw("succession", "keys", None, "the key changes are not those that the entries record")
    for (index, _), term in zip(entries.changes, terms[1:], strict=False):
        if term.start > index + 1:
            book.flaw(
                "succession", "keys", index, f"the key counts from size {term.start}, after the entry that records it"
            )
    if terms[-1].vkey != key.vkey:
        book.flaw("succession", "log.vkey", None, "the key that signed is not the last one in the log's line of keys")
    return Lineage(tuple(terms), tuple(notes))


def judge_keys(
    book: Notebook,
    lineage: Lineage,
    key: VerifierKey,
    given: Sequence[VerifierKey],
    mine: Enrolled | None,
    *,
    held: bool,
) -> None:
    """Each key the reader brings must be the one that signed, or one that it follows from.

    Several given keys of the log are alternatives. ``held``: the log is shown to extend the enrolled checkpoint.
    """
    terms = lineage.terms or (KeyTerm(key.vkey, 0, None),)
    genesis = held and mine is not None

    def reaches(trusted: str) -> bool:
        return trusted == key.vkey or leads(terms, lineage.changes, trusted, genesis=genesis)

    if given and not any(reaches(k.vkey) for k in given):
        names = ", ".join(k.vkey for k in given)
        book.flaw("key", "log.vkey", None, f"signed by {key.vkey}, which does not follow from the key given: {names}")
    if mine is not None and not reaches(mine.vkey):
        book.flaw("key", "log.vkey", None, f"signed by {key.vkey}, which does not follow from the enrolled {mine.vkey}")
