"""Answers to the queries of lineage. The graph is walked here; nothing but the read tables is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from affidavit.areas.lineage import commands as c
from affidavit.areas.lineage import rules, view
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.errors import Invalid, NotFound

MOST_EDGES = 2_000
Edge = dict[str, str]


def show_dataset(q: c.ShowDataset, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """The record, the splits measured last, every measurement, the versions made from it, the runs that read it."""
    name = rules.dataset_name(q.dataset)
    found = view.dataset(state, name)
    if found is None:
        raise NotFound(f"no {q.dataset}.", next_step="`affidavit lineage datasets` lists them.")
    measured = view.measurements(state, name)
    return {
        **found,
        "splits": view.splits(state, name),
        "overlaps": measured["overlaps"] if measured else [],
        "identity": measured["identity"] if measured else [],
        "measurements": measured["measurements"] if measured else [],
        "shared": measured["shared"] if measured else [],
        "children": view.children(state, q.dataset),
        "runs": [run for run, _ in view.readers(state, q.dataset)],
    }


def list_datasets(q: c.ListDatasets, state: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """One line a version; an empty list if none is registered."""
    return view.datasets(state, q.dataset)


def show_run(q: c.ShowRun, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """The manifest. ``reads`` come from storage logs; ``undeclared`` are those that are none of the inputs."""
    found = view.run(state, q.run)
    seen = view.reads(state, q.run)
    if found is None and not seen:
        raise NotFound(f"no run {q.run}.", next_step="record it: affidavit lineage record-run.")
    declared = _declared(state, found)
    undeclared = sorted({r["content"] for r in seen} - declared)
    return {"run": found, "reads": seen, "undeclared": undeclared}


def _declared(state: ViewTx, run: dict[str, Any] | None) -> set[str]:
    """Every digest that a declared input may be read by: as declared, the version's bytes, its splits."""
    if run is None:
        return set()
    found = {i["content"] for i in run["inputs"]}
    for i in run["inputs"]:
        name = rules.dataset_name(i["dataset"])
        record = view.dataset(state, name)
        found |= {p["content"] for p in view.parts(state, name)} | ({record["content"]} if record else set())
    return found


def graph(q: c.Graph, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """``upstream``: what it was made from; ``downstream``: what was made from it. Edges point the way data went.

    Nodes are ``dataset:acs/2015``, ``run:<id>`` and, at the ends, ``sha256:…`` of what a run wrote. Walking stops at
    2,000 edges a side (``whole`` is false then).
    """
    kind, _, name = q.of.partition(":")
    if kind not in ("dataset", "run"):
        raise Invalid(
            f"{q.of!r} names no dataset version and no run.", next_step="write dataset:NAME/VERSION or run:ID."
        )
    known = view.dataset(state, rules.dataset_name(q.of)) if kind == "dataset" else view.run(state, name)
    if known is None:
        raise NotFound(f"no {q.of}.", next_step="`affidavit lineage datasets` lists the registered versions.")
    up, all_up = _walk(state, q.of, _before, "from")
    down, all_down = _walk(state, q.of, _after, "to")
    nodes = sorted({q.of} | {e[end] for e in (*up, *down) for end in ("from", "to")})
    return {"of": q.of, "nodes": nodes, "upstream": up, "downstream": down, "whole": all_up and all_down}


def _walk(
    state: ViewTx, start: str, step: Callable[[ViewTx, str], Iterator[Edge]], onward: str
) -> tuple[list[Edge], bool]:
    edges: list[Edge] = []
    seen, frontier = {start}, [start]
    while frontier:
        node = frontier.pop(0)
        for edge in step(state, node):
            if len(edges) == MOST_EDGES:
                return edges, False
            edges.append(edge)
            if edge[onward] not in seen:
                seen.add(edge[onward])
                frontier.append(edge[onward])
    return edges, True


def _before(state: ViewTx, node: str) -> Iterator[Edge]:
    """A run read its inputs; a version was made from its parents, or written by a run."""
    if node.startswith("run:"):
        found = view.run(state, node.removeprefix("run:"))
        for i in found["inputs"] if found else ():
            yield {"from": i["dataset"], "to": node, "how": i["role"]}
    elif node.startswith("dataset:"):
        record = view.dataset(state, node.removeprefix("dataset:"))
        for parent in record["parents"] if record else ():
            yield {"from": parent, "to": node, "how": "parent"}
        for run in view.writers(state, record["content"]) if record else ():
            yield {"from": f"run:{run}", "to": node, "how": "output"}


def _after(state: ViewTx, node: str) -> Iterator[Edge]:
    """A version has children and readers; a run wrote an object, which may be a registered version again."""
    if node.startswith("run:"):
        found = view.run(state, node.removeprefix("run:"))
        if found:
            written = view.with_content(state, found["output"])
            for target in written or [found["output"]]:
                yield {"from": node, "to": target, "how": "output"}
    elif node.startswith("dataset:"):
        for child in view.children(state, node):
            yield {"from": node, "to": child, "how": "parent"}
        for run, role in view.readers(state, node):
            yield {"from": node, "to": f"run:{run}", "how": role}
