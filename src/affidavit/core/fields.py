"""Closed field types of facts and commands: what may stand in an entry. [bytes]

An entry holds ids, enums, digests, integers below 2**53, decimal strings of declared precision, UTC
times, tokens, and lists and maps of these. Free text and names are ``VaultText``: the entry holds a
commitment, the vault holds the text. So a person can be forgotten and the log still verifies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

from affidavit.core.errors import Invalid

DATA_LIMIT = 8 * 1024
"""Largest canonical ``data`` of an entry, bytes; larger matter is an attachment."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A string of at most ``limit`` ASCII characters that matches ``regex`` whole."""

    regex: str
    limit: int
    says: str
    ascii: bool = True

    def problem(self, value: str) -> str | None:
        if len(value) > self.limit:
            return f"is {len(value)} characters long; at most {self.limit}"
        if (self.ascii and not value.isascii()) or not re.fullmatch(self.regex, value):
            return f"is not {self.says}"
        return None


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer of at least ``least``."""

    least: int = 0

    def problem(self, value: int) -> str | None:
        return None if value >= self.least else f"is below {self.least}"


@dataclass(frozen=True, slots=True)
class Upload:
    """Marks a field that doors fill from a local path: ``type`` and ``kind`` of the attachment.

    Doors turn the path into a stored attachment; over HTTP the object is uploaded before.
    """

    type: str
    kind: str


Token = Annotated[
    str,
    Pattern(
        r"\*|[A-Za-z0-9_][A-Za-z0-9._:/@+=,~^*<>%()\[\]-]*",
        128,
        "a token (letters, digits, ._:/@+=,~^*<>%()[]-, no spaces)",
    ),
]
Slug = Annotated[str, Pattern(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", 64, "a name such as hr-screen (a-z, 0-9, single dashes)")]
Ref = Annotated[str, Pattern(r"[a-z]+:[A-Za-z0-9._/-]+", 160, "a reference such as model:employment/3")]
Digest = Annotated[str, Pattern(r"sha256:[0-9a-f]{64}", 71, "a digest: sha256: and 64 hexadecimal digits")]
Id = Annotated[str, Pattern(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", 36, "an id (UUID in lower case)")]
Principal = Annotated[
    str, Pattern(r"p-[0-9a-f]{32}|policy:[0-9a-f]{16}", 34, "a principal id: p- and 32 hexadecimal digits")
]
Dec6 = Annotated[
    str, Pattern(r"(?!-0\.0{6}$)-?(0|[1-9]\d{0,11})\.\d{6}", 20, "a decimal with six places such as 0.812500")
]
VKey = Annotated[str, Pattern(r"[!-*,-~]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+", 300, "a verifier key (name+hash+base64)")]
VersionRef = Annotated[
    str, Pattern(r"[a-z][a-z0-9]*(-[a-z0-9]+)*/[1-9][0-9]{0,8}", 80, "a version such as employment/3")
]
LocalPath = Annotated[str, Pattern(r"[^\x00-\x1f\x7f]+", 4096, "a path of a file or folder", ascii=False)]
"""A path on the caller's machine, or the digest of a stored object; never a field of a fact."""
Count = Annotated[int, Whole()]
Positive = Annotated[int, Whole(1)]


@dataclass(frozen=True, slots=True)
class VaultText:
    """Private text: at most 4,000 characters, no control characters but newline and tab.

    In a command ``text`` is set; once sealed ``commit`` and ``vault`` are; read back from an entry
    only those two are.
    """

    text: str | None = None
    commit: str | None = None
    vault: str | None = None

    def __repr__(self) -> str:
        return f"VaultText(vault={self.vault!r})"

    def words(self) -> str:
        """The text while it is at hand, else the empty string."""
        return self.text or ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Matter beside an entry: canonical bytes durable in the object store before the append."""

    digest: Digest
    bytes: Count
    type: Token
    kind: Token


def check_text(field: str, text: str) -> None:
    """Raise ``Invalid`` unless ``text`` is fit for the vault."""
    if not text.strip():
        raise Invalid(f"{field} is empty.", next_step=f"say the {field} in words.")
    if len(text) > 4000:
        raise Invalid(f"{field} has {len(text)} characters; at most 4,000.", next_step="attach a file instead.")
    bad = next(
        (c for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000),
        None,
    )
    if bad is not None:
        raise Invalid(f"{field} holds the control character U+{ord(bad):04X}.", next_step="remove it.")


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def time_text(at: datetime) -> str:
    """``2026-11-24T16:00:00.000Z``: UTC, milliseconds. Raises ``Invalid`` for a naive time."""
    if at.tzinfo is None:
        raise Invalid(f"the time {at} has no zone.", next_step="give it as UTC, ending in Z.")
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:23] + "Z"


def parse_time(text: str) -> datetime:
    """The UTC time of the strict form. Raises ``Invalid``."""
    if not _TIME.fullmatch(text):
        raise Invalid(f"{text!r} is not a UTC time such as 2026-11-24T16:00:00.000Z.", next_step="use that form.")
    try:
        return datetime.fromisoformat(text)
    except ValueError as e:
        raise Invalid(f"{text!r} is not a time: {e}.", next_step="give a day that exists.") from None


def read_time(text: str) -> datetime:
    """A time as people write it: a day (midnight UTC) or ISO 8601 with a zone. Raises ``Invalid``."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text!r} is not a time.", next_step="write 2026-11-24 or 2026-11-24T16:00:00Z.") from None
    if at.tzinfo is None:
        if len(text) != 10:
            raise Invalid(f"the time {text!r} has no zone.", next_step="end it with Z for UTC.")
        at = at.replace(tzinfo=UTC)
    return at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)


_DURATION = re.compile(r"P(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """``P2D``, ``PT12H``, ``P1DT30M``. Raises ``Invalid`` for anything else, the empty ``P`` included."""
    m = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not m or not any(m.groups()):
        raise Invalid(
            f"{text!r} is not a duration such as P2D or PT12H.", next_step="use days, hours, minutes, seconds."
        )
    days, hours, minutes, seconds = (int(g or 0) for g in m.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def dec6(value: object) -> str:
    """The decimal string with six places, rounded half to even; never ``-0.000000``.

    Raises ``Invalid`` for NaN, infinities and magnitudes of 10**12 or more.
    """
    from decimal import Decimal

    try:
        number = Decimal(str(value))
    except ArithmeticError:
        raise Invalid(f"{value!r} is not a number.", next_step="give a decimal number.") from None
    if not number.is_finite() or abs(number) >= 10**12:
        raise Invalid(
            f"{value!r} is not a finite number below 10**12.", next_step="leave it out: unknown stays unknown."
        )
    text = f"{number:.6f}"
    return text[1:] if text == "-0.000000" else text


def sealed(field: VaultText, commit: str, vault: str) -> VaultText:
    """The text with its commitment and vault id filled in."""
    return replace(field, commit=commit, vault=vault)
