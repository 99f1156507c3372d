"""The line of a log's keys, from the one that entry 0 names to the one that signed, and where the reader stands in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from affidavit.core.digest import of_bytes
from affidavit.evidence.entries import EntryCheck
from affidavit.evidence.trust import Enrolled
from affidavit.evidence.verdict import Notebook
from affidavit.ledger.keys import VerifierKey


class Lineage(NamedTuple):
    """The keys of the log in order, and the notes that led from each to the next."""

    vkeys: tuple[str, ...] = ()
    changes: tuple[bytes, ...] = ()

    def leads(self, trusted: str, *, genesis: bool) -> bool:
        """Whether the last key is the trusted one or follows from it.

        A rotation carries the trusted key's own signature. A recovery is signed by the recovery key of
        entry 0 instead, so it counts only if ``genesis``: entry 0 is under a checkpoint that the reader kept.
        """
        if trusted not in self.vkeys:
            return False
        from affidavit.ledger.succession import RECOVERY_HEADER

        since = self.changes[self.vkeys.index(trusted) :]
        return genesis or not any(note.startswith(f"{RECOVERY_HEADER}\n".encode()) for note in since)


def check_lineage(
    book: Notebook, origin: str, entries: EntryCheck, notes: Sequence[bytes], key: VerifierKey
) -> Lineage:
    """Follow the key changes from entry 0 and check that they end at ``key``.

    Changes recorded below the package's size are those of ``notes`` in order; later ones may follow.
    Raises ``Invalid`` or ``Tampered`` when the line is broken.
    """
    vkeys = [entries.log_key]
    recorded = [statement.digest for _, statement in entries.changes]
    if recorded != [of_bytes(note) for note in notes[: len(recorded)]]:
        book.flaw("succession", "keys", None, "the key changes are not those that the entries record")
    if notes:
        from affidavit.ledger.succession import follow

        terms = follow(origin, entries.log_key, notes, recovery_vkey=entries.recovery_key)
        vkeys = [term.vkey for term in terms]
        for (index, _), term in zip(entries.changes, terms[1:], strict=False):
            if term.start > index + 1:
                detail = f"the key counts from size {term.start}, after the entry that records it"
                book.flaw("succession", "keys", index, detail)
    if vkeys[-1] != key.vkey:
        book.flaw("succession", "log.vkey", None, "the key that signed is not the last one in the log's line of keys")
    return Lineage(tuple(vkeys), tuple(notes))


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

    def reaches(trusted: str) -> bool:
        return trusted == key.vkey or lineage.leads(trusted, genesis=held)

    if given and not any(reaches(k.vkey) for k in given):
        names = ", ".join(k.vkey for k in given)
        book.flaw("key", "log.vkey", None, f"signed by {key.vkey}, which does not follow from the key given: {names}")
    if mine is not None and not reaches(mine.vkey):
        book.flaw("key", "log.vkey", None, f"signed by {key.vkey}, which does not follow from the enrolled {mine.vkey}")
