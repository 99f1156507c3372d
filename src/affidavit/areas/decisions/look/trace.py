"""From a decision's id to everything that led to it and followed from it. A part nobody recorded is named, never left out."""

from __future__ import annotations

from typing import Any

from affidavit.areas.decisions.look import commands as c
from affidavit.areas.decisions.look import later
from affidavit.areas.decisions.look.finding import cells, seen
from affidavit.areas.decisions.look.prove import publication
from affidavit.areas.decisions.look.windows import windows_of
from affidavit.areas.decisions.sealed_rows import Row
from affidavit.core.area import Desk
from affidavit.core.errors import NotFound
from affidavit.core.fields import time_text
from affidavit.streams.plain import bare_names, plain_row

MOST_DATASETS = 50
"""Dataset versions that a trace walks back over."""
_DATASET = ("source_version", "licence", "legal_basis", "sensitivity", "content", "rows", "owner", "at", "entry")
_VERSION = (
    "artifact",
    "format",
    "author",
    "registrar",
    "at",
    "entry",
    "code",
    "hyperparameters",
    "metrics",
    "retired",
    "tampered",
)
_EVALUATION = ("entry", "at", "plan", "dataset", "split", "label", "row_count", "results", "verdicts")
_DEPLOYMENT = ("id", "model", "number", "env", "via", "at", "until", "deployer", "artifact", "incident", "entry")


def trace(request: c.Trace, desk: Desk) -> dict[str, Any]:
    """The trace as one JSON value. Raises ``NotFound``, ``Tampered``."""
    row = seen(desk, request.decision, "trace")
    found: dict[str, Any] = {"decision": request.decision, **_recorded(row)}
    version, deployment = _version(desk, row)
    found |= {
        "sources": windows_of(desk, row.values.get("sources")) if row.row is not None else _erased(),
        "version": version,
    }
    found["deployment"] = _picked(deployment, _DEPLOYMENT) if deployment else "unknown: no registry entry of this id"
    found |= _approved(desk, deployment)
    found |= _made(desk, version)
    found["later"] = later.about(desk, row, request.decision)
    found["proof"] = _proof(desk, row)
    return {k: cells(v) for k, v in found.items()}


def _erased() -> str:
    return "erased"


def _recorded(row: Row) -> dict[str, Any]:
    """What the row itself says."""
    if row.row is None:
        return {"state": "erased", "at": _erased(), "input": _erased(), "output": _erased(), "caller": _erased()}
    plain = plain_row(row.schema, row.values)
    names = ("at", "confidence", "adverse", "guard", "caller", "subject", "tenant", "configuration")
    return {
        "state": "verified",
        **{n: plain.get(n) for n in names},
        "input": bare_names(row.schema.inputs, plain),
        "output": bare_names(row.schema.outputs, plain),
    }


def _version(desk: Desk, row: Row) -> tuple[Any, dict[str, Any] | None]:
    """The version as registered, set against the digest in the row, and the registry's deployment."""
    recorded = (
        plain_row(row.schema, row.values) if row.row is not None else {"deployment": row.placed.header.deployment}
    )
    deployment: dict[str, Any] | None = None
    if recorded.get("deployment"):
        deployment = desk.ask("registry.deployment", recorded["deployment"])
    named = deployment or desk.ask("decisions.stream", row.placed.header.stream) or {}
    model, number = named.get("model"), named.get("number")
    if not model or not number:
        return f"unknown: deployment {recorded.get('deployment')} names no version", None
    by = "the deployment" if deployment else "the serving process itself"
    version = desk.ask("registry.version", model, number)
    if version is None:
        return f"unknown: {by} names {model}/{number}, which is not registered", deployment
    return {
        "name": f"{model}/{number}", "named_by": by, "recorded": recorded.get("version") or "unknown: the row is erased",
        "agrees": recorded.get("version") == version["artifact"] if recorded.get("version") else None,
        "system": version["system"] or "unknown", "run": version["run"], "datasets": version["datasets"], **_picked(version, _VERSION),
    }, deployment  # fmt: skip


def _picked(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {n: row.get(n) for n in names}


def _approved(desk: Desk, deployment: dict[str, Any] | None) -> dict[str, Any]:
    """Who let it through, and what the gate showed line by line."""
    if deployment is None:
        return {"approvals": "unknown: no deployment", "gate": "unknown: no deployment"}
    through = desk.ask("registry.approvals", deployment["id"]) or {}
    names = ("principal", "role", "at", "expires", "entry")
    approvals: Any = [_picked(a, names) for a in through.get("approvals", ())]
    if through.get("standing"):
        approvals = [*approvals, {"standing": through["standing"]}]
    if deployment["reviewer"]:
        approvals = [
            *approvals,
            {"reviewer": deployment["reviewer"], "at": deployment["reviewed"], "verdict": deployment["verdict"]},
        ]
    return {
        "approvals": approvals or f"none: the rules asked for none ({deployment['via']})",
        "gate": deployment["gate"] or "none: the rules listed no control",
    }


def _made(desk: Desk, version: Any) -> dict[str, Any]:
    """Evaluation, training run and datasets of a version."""
    if isinstance(version, str):
        return dict.fromkeys(("evaluation", "training", "datasets"), "unknown: no version")
    model, _, number = version["name"].partition("/")
    evaluation = desk.ask("registry.evaluation", model, int(number))
    run = desk.ask("lineage.run", version["run"])
    return {
        "evaluation": _picked(evaluation, _EVALUATION) if evaluation else "missing: the version was never evaluated",
        "training": run or f"missing: run {version['run']} is not recorded",
        "datasets": datasets(desk, version["datasets"]) or "missing: the version names none",
    }


def datasets(desk: Desk, refs: list[str]) -> list[dict[str, Any]]:
    """Dataset versions and what they were made from, nearest first; an unregistered one is named missing."""
    waiting, found = list(refs), list[dict[str, Any]]()
    for ref in waiting:
        if len(found) == MOST_DATASETS:
            return [*found, {"dataset": f"unknown: {len(waiting) - len(found)} more are not listed"}]
        known = desk.ask("lineage.dataset", ref.removeprefix("dataset:"))
        if known is None:
            found.append({"dataset": ref, "origin": "missing: not registered"})
            continue
        origin = _words(desk, known["origin"])
        found.append({"dataset": ref, "origin": origin, **_picked(known, _DATASET), "parents": known["parents"]})
        waiting += [p for p in known["parents"] if p not in waiting]
    return found


def _words(desk: Desk, vault_id: str) -> str:
    try:
        return desk.vault_text(vault_id) or "erased"
    except NotFound:
        return "erased"


def _proof(desk: Desk, row: Row) -> dict[str, Any]:
    """Where the row is sealed, and whether that can be proven now."""
    where = row.placed
    return {
        "leaf": "sha256:" + row.leaf.hex(), "stream": where.header.stream, "seq": row.seq, "segment": where.header.id,
        "entry": where.record.index, "sealed_at": time_text(where.record.head.at), "status": publication(desk, where.record.index),
    }  # fmt: skip
