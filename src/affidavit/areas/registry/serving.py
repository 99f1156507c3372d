"""What served when, on whose word, and which versions a digest is: answers for areas that trace or compare what runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from affidavit.areas.registry.lookup import (
    approvals_of,
    deployment,
    deployment_of,
    deployments,
    standing_of,
    system_of_model,
)
from affidavit.core import canonical
from affidavit.core.area import ViewTx

ANSWERS = ("approvals", "trained_on", "deployments_of", "serving_between", "versions_with")


def serving_between(v: ViewTx, env: str, start: str, end: str) -> list[dict[str, Any]]:
    """Real deployments that served an environment at some moment of ``start <= t < end`` (time texts), oldest first."""
    sql = "SELECT id FROM {deployment} WHERE env = ? AND at < ? AND (until IS NULL OR until > ?) AND drill = 0 ORDER BY entry"
    return [found for (name,) in v.rows(sql, env, end, start) if (found := deployment(v, name)) is not None]


def versions_with(v: ViewTx, artifact: str) -> list[dict[str, Any]]:
    """The versions registered with a digest: model, number, system, since when; planted ones are left out."""
    sql = "SELECT model, number, at FROM {version} WHERE artifact = ? AND drill = 0 ORDER BY entry"
    return [{"model": m, "number": n, "at": at, "system": system_of_model(v, m)} for m, n, at in v.rows(sql, artifact)]


def approvals(v: ViewTx, deployment_id: str) -> dict[str, Any] | None:
    """Who let a deployment through: approvals of its request as they stood then, or its standing authorisation; None if unknown."""
    found = deployment_of(v, deployment_id)
    if found is None:
        return None
    given = [asdict(a) for a in approvals_of(v, found.request) if a.at <= found.at] if found.request else []
    standing = standing_of(v, found.standing) if found.standing else None
    return {
        "request": found.request,
        "approvals": given,
        "standing": {k: getattr(standing, k) for k in ("id", "proposer", "approver", "approved")} if standing else None,
    }


def trained_on(v: ViewTx, dataset: str) -> list[dict[str, Any]]:
    """The versions that name a dataset version (``dataset:acs/2015``) as theirs, oldest first; planted ones are left out."""
    sql = "SELECT model, number FROM {version} WHERE INSTR(datasets, ?) AND drill = 0 ORDER BY entry"
    return [{"model": m, "number": n} for m, n in v.rows(sql, canonical.encode(dataset).decode())]


def deployments_of(v: ViewTx, name: str, number: int | None = None, env: str | None = None) -> list[dict[str, Any]]:
    """Real deployments of a model (of one version, into one environment), oldest first."""
    return [asdict(d) for d in deployments(v, name, env) if number in (None, d.number)]
