"""The one error tree. Every error says what was wrong, with which value, and what to do next.

Foreign errors (sqlite3, OSError, cryptography) are wrapped at the boundary where they arise:
a leaked ``ValueError`` is a bug.
"""

from __future__ import annotations


class AffidavitError(Exception):
    """Root of the tree: ``problem`` names what was wrong and the value, ``next_step`` what to do."""

    def __init__(self, problem: str, *, next_step: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.problem} Next: {self.next_step}" if self.next_step else self.problem


class Invalid(AffidavitError):
    """The input cannot mean anything: wrong type, range, pattern or format. Nothing was recorded."""


class NotAllowed(AffidavitError):
    """The principal has no grant for this permission in this environment. The denial was recorded."""


class NotFound(AffidavitError):
    """The id is well formed and names nothing here."""


class Refused(AffidavitError):
    """A rule said no. The refusal itself was recorded as a fact.

    ``code`` is a stable token (``self_approval``), ``controls`` the ids whose requirement stood in the way.
    """

    def __init__(self, code: str, problem: str, *, next_step: str, controls: tuple[str, ...] = ()) -> None:
        super().__init__(problem, next_step=next_step)
        self.code = code
        self.controls = controls


class Busy(AffidavitError):
    """Another writer holds the lock or wrote first. Retrying the same command id is safe."""


class StoreDown(AffidavitError):
    """A store failed (disk full, I/O error, unreachable). Nothing was acknowledged."""


class Tampered(AffidavitError):
    """Stored bytes are not the bytes that were committed to. Nothing of them was used."""
