"""Read tables of access."""

from __future__ import annotations

from dataclasses import dataclass

from affidavit.areas.access import events as e
from affidavit.core.area import View, ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import parse_time, time_text
from affidavit.core.rules import Rules

TABLES = {
    "principal": "id TEXT PRIMARY KEY, kind TEXT, name TEXT, at TEXT",
    "grant": "id TEXT PRIMARY KEY, principal TEXT, role TEXT, env TEXT, requester TEXT, requested TEXT,"
    " approver TEXT, approved TEXT, revoked TEXT, UNIQUE (principal, id)",
    "key": "id TEXT PRIMARY KEY, principal TEXT, env TEXT, secret TEXT, issued TEXT, expires TEXT, revoked TEXT",
    "proposal": "text TEXT PRIMARY KEY, proposer TEXT, bytes INTEGER, at TEXT",
    "adopted": "entry INTEGER PRIMARY KEY, text TEXT, proposer TEXT, adopter TEXT, at TEXT",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant row; times are None until they happened."""

    id: str
    principal: str
    role: str
    env: str
    requester: str
    requested: str
    approver: str | None
    approved: str | None
    revoked: str | None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key row."""

    id: str
    principal: str
    env: str
    secret: str
    issued: str
    expires: str
    revoked: str | None


def grant(v: ViewTx, grant_id: str) -> Grant | None:
    """The grant of this id, or None."""
    row = v.one("SELECT * FROM {grant} WHERE id = ?", grant_id)
    return Grant(*row) if row else None


def live_grants(v: ViewTx, at: str | None) -> list[Grant]:
    """Grants in force at ``at`` (time text); None is now, by the order of entries and not by any clock."""
    if at is None:
        sql = "SELECT * FROM {grant} WHERE approved IS NOT NULL AND revoked IS NULL ORDER BY id"
        return [Grant(*row) for row in v.rows(sql)]
    sql = "SELECT * FROM {grant} WHERE approved <= ? AND (revoked IS NULL OR revoked > ?) ORDER BY id"
    return [Grant(*row) for row in v.rows(sql, at, at)]


def key(v: ViewTx, key_id: str) -> Key | None:
    """The API key of this id, or None."""
    row = v.one("SELECT * FROM {key} WHERE id = ?", key_id)
    return Key(*row) if row else None


def roles_of(v: ViewTx, principal: str, env: str | None, at: str | None = None) -> tuple[str, ...]:
    """Roles a principal holds in ``env`` (None: in any environment) at ``at``; registered people are ``everyone``."""
    if not v.one("SELECT 1 FROM {principal} WHERE id = ?", principal):
        return ()
    sql = "SELECT DISTINCT role FROM {grant} WHERE principal = ? AND approved IS NOT NULL AND (? IS NULL OR approved <= ?)"
    sql += " AND (revoked IS NULL OR revoked > ?) AND (? IS NULL OR env IN ('*', ?)) ORDER BY role"
    held = v.rows(sql, principal, at, at, at, env, env)
    return ("everyone", *(role for (role,) in held))


def principal_named(v: ViewTx, vault_id: str) -> str | None:
    """The principal whose name is the vault record ``vault_id``."""
    row = v.one("SELECT id FROM {principal} WHERE name = ?", vault_id)
    return row[0] if row else None


def principal(v: ViewTx, principal_id: str) -> dict[str, str] | None:
    """Kind and name record of a principal."""
    row = v.one("SELECT id, kind, name, at FROM {principal} WHERE id = ?", principal_id)
    return dict(zip(("id", "kind", "name", "at"), row, strict=True)) if row else None


def rules_in_force(v: ViewTx, at: str | None = None) -> str | None:
    """The digest of the rules text in force at ``at``; None is now, by the order of entries."""
    if at is None:
        row = v.one("SELECT text FROM {adopted} ORDER BY entry DESC LIMIT 1")
        return row[0] if row else None
    row = v.one("SELECT text FROM {adopted} WHERE at <= ? ORDER BY entry DESC LIMIT 1", at)
    return row[0] if row else None


def holders(v: ViewTx, rules: Rules, action: str, env: str | None, at: str) -> list[dict[str, str]]:
    """Who holds ``action`` in ``env`` at ``at``: one line per grant that carries it."""
    return [
        {"principal": g.principal, "role": g.role, "env": g.env, "grant": g.id, "since": g.approved or ""}
        for g in live_grants(v, at)
        if rules.allows((g.role,), action) and (env is None or g.env in ("*", env))
    ]


def _principal(v: ViewTx, r: Record) -> None:
    f: e.PrincipalRegistered = r.fact
    v.run("INSERT INTO {principal} VALUES (?, ?, ?, ?)", f.principal, f.kind, f.name.vault, time_text(r.head.at))


def _requested(v: ViewTx, r: Record) -> None:
    f: e.GrantRequested = r.fact
    at = time_text(r.head.at)
    sql = "INSERT INTO {grant} VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL)"
    v.run(sql, f.grant, f.principal, f.role, f.env, r.head.actor, at)


def _approved(v: ViewTx, r: Record) -> None:
    f: e.GrantApproved = r.fact
    at = time_text(r.head.at)
    if f.genesis:
        sql = "INSERT INTO {grant} VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)"
        v.run(sql, f.grant, f.principal, f.role, f.env, r.head.actor, at, r.head.actor, at)
    else:
        v.run("UPDATE {grant} SET approver = ?, approved = ? WHERE id = ?", r.head.actor, at, f.grant)


def _revoked(v: ViewTx, r: Record) -> None:
    v.run("UPDATE {grant} SET revoked = ? WHERE id = ?", time_text(r.head.at), r.fact.grant)


def _key(v: ViewTx, r: Record) -> None:
    f: e.KeyIssued = r.fact
    sql = "INSERT INTO {key} VALUES (?, ?, ?, ?, ?, ?, NULL)"
    v.run(sql, f.key, f.principal, f.env, f.secret, time_text(r.head.at), time_text(f.expires))


def _key_revoked(v: ViewTx, r: Record) -> None:
    v.run("UPDATE {key} SET revoked = ? WHERE id = ?", time_text(r.head.at), r.fact.key)


def _proposed(v: ViewTx, r: Record) -> None:
    f: e.RulesProposed = r.fact
    sql = "INSERT OR REPLACE INTO {proposal} VALUES (?, ?, ?, ?)"
    v.run(sql, f.text.digest, r.head.actor, f.text.bytes, time_text(r.head.at))


def _adopted(v: ViewTx, r: Record) -> None:
    f: e.RulesAdopted = r.fact
    v.run("DELETE FROM {proposal} WHERE text = ?", f.text.digest)
    sql = "INSERT INTO {adopted} VALUES (?, ?, ?, ?, ?)"
    v.run(sql, r.index, f.text.digest, f.proposer, r.head.actor, time_text(r.head.at))


VIEW = View(
    "access",
    TABLES,
    {
        e.PrincipalRegistered: _principal,
        e.GrantRequested: _requested,
        e.GrantApproved: _approved,
        e.GrantRevoked: _revoked,
        e.KeyIssued: _key,
        e.KeyRevoked: _key_revoked,
        e.RulesProposed: _proposed,
        e.RulesAdopted: _adopted,
    },
)


def expired(k: Key, at: str) -> bool:
    """Whether the key is past its day at ``at``."""
    return parse_time(k.expires) <= parse_time(at)
