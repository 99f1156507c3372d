"""Envelope v1: one entry = one fact, in canonical JSON. [bytes]

``Head`` is everything but the payload; ``Record`` is an entry read back, with its index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar, cast

from affidavit.core import canonical, codec
from affidavit.core.errors import Invalid
from affidavit.core.fields import DATA_LIMIT, Attachment, Digest, Id, Principal, Ref, Token, VaultText, time_text

How = Literal["os-user", "key", "oidc", "passkey", "ssh", "policy"]
ENTRY_LIMIT = 65_535
_C = TypeVar("_C", bound=type)
_FACTS: dict[tuple[str, int], type] = {}


@dataclass(frozen=True, slots=True)
class Cmd:
    """The command an entry belongs to: all its entries share id and digest; this is part k of m."""

    id: Id
    digest: Digest
    part: int
    of: int


@dataclass(frozen=True, slots=True)
class Auth:
    """How the actor was known: the method, and which key or account (never the secret)."""

    how: How
    ref: Token | None = None
    sig: Token | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The envelope without its payload."""

    log: Token
    stream: Token
    seq: int
    tag: Token
    v: int
    at: datetime
    cmd: Cmd
    actor: Principal
    auth: Auth
    refs: tuple[Ref, ...]
    rules: Digest
    env: Token | None = None
    cause: int | None = None
    drill: bool | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An entry read back: its index in the log, its head and its typed fact."""

    index: int
    head: Head
    fact: Any


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact that a rule decided, before it has a place in the log.

    The first reference names the stream (``model:employment/3`` → ``model:employment``).
    """

    fact: Any
    refs: tuple[str, ...]
    env: str | None = None

    @property
    def stream(self) -> str:
        return self.refs[0].split("/")[0]


@dataclass(frozen=True, slots=True)
class Sealed:
    """The commitment of one private field, as it stands in the entry."""

    commit: Digest
    vault: Id


@dataclass(frozen=True, slots=True)
class Raw:
    """The shape of an entry, for checking one whose tag this release does not know."""

    head: Head
    data: dict[str, Any]
    private: dict[str, Sealed] = field(default_factory=dict)


def fact(tag: str, v: int = 1) -> Callable[[_C], _C]:
    """Register a frozen dataclass as the fact ``tag`` version ``v``; a tag used twice is refused at import."""

    def register(cls: _C) -> _C:
        if (tag, v) in _FACTS:
            raise Invalid(f"the tag {tag} v{v} is used twice.", next_step="choose another tag or the next version.")
        _FACTS[(tag, v)] = cls
        cls.TAG, cls.V = tag, v  # type: ignore[attr-defined]
        return cls

    return register


def tag_of(cls: type) -> str:
    """The tag a fact class was registered under."""
    return cast("str", cls.TAG)  # type: ignore[attr-defined]


def known_facts() -> dict[tuple[str, int], type]:
    """Every registered fact class by (tag, version)."""
    return dict(_FACTS)


def encode(head: Head, fact_: Any) -> bytes:
    """The canonical entry. Raises ``Invalid`` if ``data`` is over 8 KiB or a private text is not sealed."""
    data = codec.dump_object(fact_)
    if len(canonical.encode(data)) > DATA_LIMIT:
        raise Invalid(f"{head.tag}: data is over {DATA_LIMIT} bytes.", next_step="move the bulk to an attachment.")
    body = codec.dump_object(head)
    body["data"] = data
    private = codec.private_fields(fact_)
    if private:
        body["private"] = {name: _seal(name, text) for name, text in private.items()}
    return canonical.encode(body)


def _seal(name: str, text: VaultText) -> dict[str, str]:
    if text.commit is None or text.vault is None:
        raise Invalid(
            f"the private field {name} was not sealed.", next_step="pass the field of the command on as it is."
        )
    return {"commit": text.commit, "vault": text.vault}


def split(body: bytes, *, proven: bool = False) -> Raw:
    """Head, data and private commitments of any entry, its tag known or not. Raises ``Invalid``.

    ``proven`` leaves out the proof that the bytes are canonical, for entries that this store accepted
    before: replaying them is no verification (``affidavit verify`` is).
    """
    value = canonical.parse_plain(body) if proven else canonical.decode(body)
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
        raise Invalid("the entry is no envelope: it has no data.", next_step="check which log this is.")
    data, private = value.pop("data"), value.pop("private", {})
    if not isinstance(private, dict):
        raise Invalid("the entry is no envelope: its private part is no map.", next_step="check which log this is.")
    head = codec.load_object(Head, value, "envelope")
    sealed = {k: codec.load_object(Sealed, v, f"private.{k}") for k, v in private.items()}
    return Raw(head, data, sealed)


def decode(index: int, body: bytes, *, proven: bool = False) -> Record:
    """The typed record of an entry. Raises ``Invalid`` for bytes off form or an unknown tag."""
    raw = split(body, proven=proven)
    cls = _FACTS.get((raw.head.tag, raw.head.v))
    if cls is None:
        raise Invalid(f"entry {index}: unknown tag {raw.head.tag} v{raw.head.v}.", next_step="use a newer release.")
    given: dict[str, Any] = dict(raw.data)
    for name, sealed_ in raw.private.items():
        given[name] = VaultText(commit=sealed_.commit, vault=sealed_.vault)
    return Record(index, raw.head, codec.load_object(cls, given, raw.head.tag))


def attachments(value: Any) -> list[Attachment]:
    """Every attachment a fact names, at any depth."""
    if isinstance(value, Attachment):
        return [value]
    if isinstance(value, (tuple, list)):
        return [a for item in value for a in attachments(item)]
    if isinstance(value, dict):
        return [a for item in value.values() for a in attachments(item)]
    slots = getattr(type(value), "__dataclass_fields__", ())
    return [a for name in slots for a in attachments(getattr(value, name))]


def stamp(at: datetime) -> str:
    """The time as it stands in an entry."""
    return time_text(at)
