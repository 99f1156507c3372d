"""Trust policies: which logs and witnesses a verifier believes, and how many witnesses must have cosigned.

Source: C2SP tlog-policy. Timestamp authorities have no line there; their roots are a separate argument
(``timestamps.verify_timestamp``). Names are opaque bytes; here they are text decoded with ``surrogateescape``,
which keeps different bytes different.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from affidavit.core.errors import Invalid
from affidavit.ledger.fields import shown
from affidavit.ledger.keys import ED25519, VerifierKey, parse_vkey

MAX_POLICY_BYTES = 1_000_000
NONE = "none"

_SPACES = re.compile(r"[ \t]+")
_COUNT = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """A log whose checkpoints are accepted; the key's name is the log's origin. ``url`` is empty for none."""

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness under the name that the policy file gives it. ``url`` is empty for none."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """At least ``threshold`` of ``members`` (witnesses or earlier groups) must have cosigned."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a verifier trusts. ``quorum`` names a witness or group, or is ``none``: no cosignature needed."""

    logs: tuple[TrustedLog, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    @property
    def log_keys(self) -> tuple[VerifierKey, ...]:
        """The keys to open a checkpoint with; empty when the log is known from elsewhere."""
        return tuple(log.key for log in self.logs)

    def satisfied_by(self, cosigned: Collection[str]) -> bool:
        """Whether the witnesses named in ``cosigned`` meet the quorum; always true of the quorum ``none``.

        Unknown names count for nothing.
        """
        met = {witness.name: witness.name in cosigned for witness in self.witnesses}
        for group in self.groups:
            met[group.name] = sum(met.get(member, False) for member in group.members) >= group.threshold
        return self.quorum == NONE or met.get(self.quorum, False)

    def encode(self) -> bytes:
        """The policy as text, in the order logs, witnesses, groups, quorum, one line each."""
        lines = [["log", log.key.vkey, log.url] for log in self.logs]
        lines += [["witness", witness.name, witness.key.vkey, witness.url] for witness in self.witnesses]
        lines += [["group", group.name, str(group.threshold), *group.members] for group in self.groups]
        lines.append(["quorum", self.quorum])
        text = "".join(" ".join(part for part in line if part) + "\n" for line in lines)
        return text.encode("utf-8", "surrogateescape")


def parse_policy(data: bytes) -> Policy:
    """A policy from its text; every line must be understood.

    Args:
        data: at most 1,000,000 bytes; empty is invalid, because one quorum line is required.

    Raises:
        Invalid: a control character, an unknown or malformed line, a key of the wrong type, a key or name
            given twice, a member that is not yet defined or already taken, or not exactly one quorum.

    Source: C2SP tlog-policy, "Policy file syntax and structure".
    """
    if not isinstance(data, bytes) or len(data) > MAX_POLICY_BYTES:
        raise Invalid(f"A policy is at most {MAX_POLICY_BYTES} bytes.", next_step="Shorten the file.")
    if any(byte == 0x7F or (byte < 0x20 and byte not in b"\t\n") for byte in set(data)):
        raise Invalid("The policy contains a control character.", next_step="Save it as plain text.")
    if data and not data.endswith(b"\n"):
        raise Invalid("The last line of the policy has no newline.", next_step="Add it; the file may be cut short.")
    draft = _Draft()
    for place, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        words = [word for word in _SPACES.split(line) if word]
        if words and not words[0].startswith("#"):
            draft.take(words, place)
    return draft.finish()


@dataclass(slots=True)
class _Draft:
    """The policy as far as it is read; each line is checked against what stands above it."""

    logs: list[TrustedLog] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    names: set[str] = field(default_factory=lambda: {NONE})
    members: set[str] = field(default_factory=set)

    def take(self, words: list[str], place: int) -> None:
        verb, args = words[0], words[1:]
        if verb == "log" and len(args) in (1, 2):
            self._log(args, place)
        elif verb == "witness" and len(args) in (2, 3):
            self._witness(args, place)
        elif verb == "group" and len(args) >= 3:
            self._group(args, place)
        elif verb == "quorum" and len(args) == 1:
            self._quorum(args[0], place)
        else:
            raise _bad(place, f"{shown(' '.join(words))} is no log, witness, group or quorum line.")

    def finish(self) -> Policy:
        if self.quorum is None:
            raise Invalid("The policy has no quorum line.", next_step="Add one; 'quorum none' asks for no witness.")
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def _log(self, args: list[str], place: int) -> None:
        key = _key(args[0], place)
        if key.kind != ED25519:
            raise _bad(place, f"A log key has type 1 (Ed25519), not {key.kind}.")
        if any(log.key.public == key.public for log in self.logs):
            raise _bad(place, "The same log key is listed twice.")
        self.logs.append(TrustedLog(key, *args[1:]))

    def _witness(self, args: list[str], place: int) -> None:
        key = _key(args[1], place)
        if key.kind == ED25519:
            raise _bad(place, "A witness key has a cosignature type (4 or 6), not 1.")
        if any(witness.key.public == key.public for witness in self.witnesses):
            raise _bad(place, "The same witness key is listed twice.")
        self._define(args[0], place)
        self.witnesses.append(Witness(args[0], key, *args[2:]))

    def _group(self, args: list[str], place: int) -> None:
        name, rule, members = args[0], args[1], args[2:]
        for member in members:
            if member not in self.names or member == NONE:
                raise _bad(place, f"Member {shown(member)} is not defined above.")
            if member in self.members:
                raise _bad(place, f"{shown(member)} is a member already.")
            self.members.add(member)
        self._define(name, place)
        self.groups.append(Group(name, _threshold(rule, len(members), place), tuple(members)))

    def _quorum(self, name: str, place: int) -> None:
        if self.quorum is not None:
            raise _bad(place, "There is a second quorum line.")
        if name not in self.names:
            raise _bad(place, f"Quorum {shown(name)} is not defined above.")
        self.quorum = name

    def _define(self, name: str, place: int) -> None:
        if name in self.names:
            raise _bad(place, f"The name {shown(name)} is taken.")
        self.names.add(name)


def _threshold(rule: str, members: int, place: int) -> int:
    if rule == "any":
        return 1
    if rule == "all":
        return members
    if _COUNT.fullmatch(rule) is None or int(rule) > members:
        raise _bad(place, f"{shown(rule)} is not all, any, or a number from 1 to {members}.")
    return int(rule)


def _key(text: str, place: int) -> VerifierKey:
    try:
        return parse_vkey(text)
    except Invalid as error:
        raise _bad(place, error.problem) from error


def _bad(place: int, problem: str) -> Invalid:
    return Invalid(f"Line {place} of the policy: {problem}", next_step="Correct the line; see C2SP tlog-policy.")
