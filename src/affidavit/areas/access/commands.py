"""Requests of access."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

from affidavit.areas.access.events import Kind
from affidavit.core.area import Command, Measure, Query
from affidavit.core.fields import Attachment, Digest, Id, Principal, Token, Upload, VaultText


@dataclass(frozen=True, slots=True)
class RegisterPrincipal(Command):
    """Give a person or service a random id; the name goes into the vault."""

    verb: ClassVar[str] = "register-principal"
    everywhere: ClassVar[bool] = True
    permission: ClassVar[str] = "access.register"
    kind: Kind
    name: VaultText


@dataclass(frozen=True, slots=True)
class RequestGrant(Command):
    """Ask for a role in an environment (`*` for all), for oneself or another."""

    verb: ClassVar[str] = "request-grant"
    permission: ClassVar[str] = "access.request"
    principal: Principal
    role: Token
    in_env: Token
    reason: VaultText


@dataclass(frozen=True, slots=True)
class ApproveGrant(Command):
    """Approve a requested grant; neither its requester nor its holder may."""

    verb: ClassVar[str] = "approve-grant"
    asks: ClassVar[tuple[str, ...]] = ("access.roles_of",)
    permission: ClassVar[str] = "access.approve"
    grant: Id


@dataclass(frozen=True, slots=True)
class RevokeGrant(Command):
    """Take a grant away; the last administrator cannot leave."""

    verb: ClassVar[str] = "revoke-grant"
    asks: ClassVar[tuple[str, ...]] = ("access.roles_of",)
    permission: ClassVar[str] = "access.revoke"
    grant: Id
    reason: VaultText


@dataclass(frozen=True, slots=True)
class IssueKey(Measure):
    """Issue an API key for one environment: one's own, or (with access.issue_key) a service's; shown once, stored nowhere."""

    verb: ClassVar[str] = "issue-key"
    permission: ClassVar[str] = "access.own_key"
    env_field: ClassVar[str | None] = "for_env"
    principal: Principal
    for_env: Token
    expires: datetime


@dataclass(frozen=True, slots=True)
class RecordKey(Command):
    """Record an issued key by the digest of its secret."""

    verb: ClassVar[str] = "record-key"
    permission: ClassVar[str] = "access.own_key"
    asks: ClassVar[tuple[str, ...]] = ("access.roles_of",)
    internal: ClassVar[bool] = True
    env_field: ClassVar[str | None] = "for_env"
    key: Id
    principal: Principal
    for_env: Token
    expires: datetime
    secret: Digest


@dataclass(frozen=True, slots=True)
class RevokeKey(Command):
    """Revoke an API key at once."""

    verb: ClassVar[str] = "revoke-key"
    asks: ClassVar[tuple[str, ...]] = ("access.roles_of",)
    permission: ClassVar[str] = "access.revoke"
    key: Id


@dataclass(frozen=True, slots=True)
class ProposeRules(Command):
    """Put up a text of rules.yaml; another person adopts it."""

    verb: ClassVar[str] = "propose-rules"
    everywhere: ClassVar[bool] = True
    permission: ClassVar[str] = "access.propose_rules"
    text: Annotated[Attachment, Upload("application/yaml", "rules")]
    reason: VaultText


@dataclass(frozen=True, slots=True)
class AdoptRules(Command):
    """Adopt the proposed rules of this digest; the proposer may not."""

    verb: ClassVar[str] = "adopt-rules"
    everywhere: ClassVar[bool] = True
    permission: ClassVar[str] = "access.adopt_rules"
    text: Digest


@dataclass(frozen=True, slots=True)
class WhoCan(Query):
    """Who held a permission in an environment at a moment, and by which grant."""

    verb: ClassVar[str] = "who-can"
    permission: ClassVar[str] = "access.read"
    action: Token
    in_env: Token | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShowRules(Query):
    """The rules in force: digest, who adopted them, when."""

    verb: ClassVar[str] = "rules"
    permission: ClassVar[str] = "access.read"


@dataclass(frozen=True, slots=True)
class ListPrincipals(Query):
    """Every person and service, with the vault id of the name."""

    verb: ClassVar[str] = "principals"
    permission: ClassVar[str] = "access.read"


@dataclass(frozen=True, slots=True)
class ListGrants(Query):
    """Every grant with its state."""

    verb: ClassVar[str] = "grants"
    permission: ClassVar[str] = "access.read"
