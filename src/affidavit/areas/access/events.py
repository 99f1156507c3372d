"""Facts of access: principals, grants, keys, rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from affidavit.core.envelope import fact
from affidavit.core.fields import Attachment, Digest, Id, Principal, Token, VaultText

Kind = Literal["person", "service"]


@fact("access.principal_registered")
@dataclass(frozen=True, slots=True)
class PrincipalRegistered:
    """A person or service got a random id; the name is in the vault."""

    principal: Principal
    kind: Kind
    name: VaultText


@fact("access.grant_requested")
@dataclass(frozen=True, slots=True)
class GrantRequested:
    """A role in an environment was asked for."""

    grant: Id
    principal: Principal
    role: Token
    env: Token
    reason: VaultText


@fact("access.grant_approved")
@dataclass(frozen=True, slots=True)
class GrantApproved:
    """The role is held from here on. ``genesis`` marks the first administrator of a new workspace."""

    grant: Id
    principal: Principal
    role: Token
    env: Token
    genesis: bool = False


@fact("access.grant_revoked")
@dataclass(frozen=True, slots=True)
class GrantRevoked:
    """The role is no longer held."""

    grant: Id
    reason: VaultText


@fact("access.key_issued")
@dataclass(frozen=True, slots=True)
class KeyIssued:
    """An API key of one principal for one environment; the entry holds the digest of its secret."""

    key: Id
    principal: Principal
    env: Token
    expires: datetime
    secret: Digest


@fact("access.key_revoked")
@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """The key opens nothing any more."""

    key: Id


@fact("access.rules_proposed")
@dataclass(frozen=True, slots=True)
class RulesProposed:
    """A text of rules.yaml was put up for adoption."""

    text: Attachment
    reason: VaultText


@fact("access.rules_adopted")
@dataclass(frozen=True, slots=True)
class RulesAdopted:
    """The rules in force from here on. ``genesis`` marks the text a workspace starts with."""

    text: Attachment
    proposer: Principal
    genesis: bool = False
