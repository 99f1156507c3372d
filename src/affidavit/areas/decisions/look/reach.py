"""The way back: from a dataset or a model version to the decisions it had a part in. Counts of sealed headers, no payload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.look import commands as c
from affidavit.areas.decisions.look import tenancy
from affidavit.areas.decisions.look.finding import note_read
from affidavit.core.area import Desk
from affidavit.core.errors import Invalid, NotAllowed, NotFound
from affidavit.streams.sealed import SegmentSealed

MOST_DATASETS = 200
"""Dataset versions made from one that are followed."""


def of_dataset(request: c.OfDataset, desk: Desk) -> dict[str, Any]:
    """Decisions of every version trained on a dataset version or on what was made from it.

    Raises ``Invalid`` for a name of another kind, ``NotFound`` for one that is not registered.
    """
    kind, _, name = request.dataset.partition(":")
    if kind != "dataset":
        raise Invalid(f"{request.dataset!r} names no dataset version.", next_step="write dataset:NAME/VERSION.")
    if desk.ask("lineage.dataset", name) is None:
        raise NotFound(
            f"no {request.dataset}.", next_step="`affidavit lineage datasets` lists the registered versions."
        )
    made, whole = _descendants(desk, request.dataset)
    versions: dict[tuple[str, int], str] = {}
    for ref in made:
        for v in desk.ask("registry.trained_on", ref):
            versions.setdefault((v["model"], v["number"]), ref)
    found = {
        "dataset": request.dataset,
        "datasets": made,
        "whole": whole,
        **_counted(desk, "of-dataset", request.dataset, versions),
    }
    for line in found["versions"]:
        model, _, number = line["version"].partition("/")
        line["trained_on"] = versions[model, int(number)]
    return found


def of_model(request: c.OfModel, desk: Desk) -> dict[str, Any]:
    """Decisions of a model version. Raises ``NotFound`` for one that is not registered."""
    model, _, number = request.version.partition("/")
    if desk.ask("registry.version", model, int(number)) is None:
        raise NotFound(f"no version {request.version}.", next_step=f"`affidavit registry versions {model}` lists them.")
    return _counted(desk, "of-model", f"model:{request.version}", [(model, int(number))])


def _descendants(desk: Desk, ref: str) -> tuple[list[str], bool]:
    """The dataset version and every registered one made from it; whether that is all of them."""
    found = [ref]
    for name in found:
        for child in desk.ask("lineage.children", name):
            if child not in found:
                if len(found) == MOST_DATASETS:
                    return found, False
                found.append(child)
    return found, True


def _counted(desk: Desk, verb: str, about: str, versions: Iterable[tuple[str, int]]) -> dict[str, Any]:
    if tenancy.tenants(desk) is not None:
        raise NotAllowed("counts are over every tenant.", next_step="query the decisions of your tenant instead.")
    lines: list[dict[str, Any]] = [
        {"version": f"{model}/{number}", "deployments": _deployments(desk, model, number)} for model, number in versions
    ]
    for line in lines:
        line["decisions"] = sum(d["decisions"] for d in line["deployments"])
    total = sum(line["decisions"] for line in lines)
    note_read(desk, verb, about, 0)
    return {"decisions": total, "versions": lines, "counted": "sealed decisions, erased ones included"}


def _deployments(desk: Desk, model: str, number: int) -> list[dict[str, Any]]:
    found = []
    for d in desk.ask("registry.deployments_of", model, number):
        if tenancy.reaches(desk, d["id"]):
            headers = [p.header for p in sealed_rows.segments_between(desk, "decisions", None, None, d["id"])]
            own = [h for h in headers if h.deployment == d["id"]]
            found.append({"deployment": d["id"], "env": d["env"], "since": d["at"], "until": d["until"],
                          "decisions": sum(h.n for h in own), "months": _months(own)})  # fmt: skip
    return found


def _months(headers: Iterable[SegmentSealed]) -> dict[str, int]:
    """Rows by month; a segment that crosses months counts under both names, such as ``2026-01 to 2026-02``."""
    found: dict[str, int] = {}
    for h in headers:
        first, last = f"{h.t_min:%Y-%m}", f"{h.t_max:%Y-%m}"
        key = first if first == last else f"{first} to {last}"
        found[key] = found.get(key, 0) + h.n
    return dict(sorted(found.items()))
