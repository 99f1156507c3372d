"""Read tables of incidents: each incident with what it concerns."""

from __future__ import annotations

from typing import Any

from affidavit.areas.incidents import events as e
from affidavit.core import canonical
from affidavit.core.area import View, ViewTx
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text

_NAMES = (
    "id", "kind", "severity", "origin", "snapshot", "title", "opener", "at", "entry", "closer", "closed", "cause",
    "note", "drill",
)  # fmt: skip
TABLES = {
    "incident": "id TEXT PRIMARY KEY, kind TEXT, severity TEXT, origin TEXT, snapshot TEXT, title TEXT, opener TEXT,"
    " at TEXT, entry INTEGER, closer TEXT, closed TEXT, cause TEXT, note TEXT, drill INTEGER",
    "about": "incident TEXT, place INTEGER, ref TEXT, linked INTEGER, actor TEXT, at TEXT, entry INTEGER,"
    " PRIMARY KEY (incident, ref)",
}


def incident(v: ViewTx, incident_id: str) -> dict[str, Any] | None:
    """The incident of this id, or None. ``entry`` is the index of its opening; ``title`` and ``note`` are vault ids."""
    row = v.one("SELECT * FROM {incident} WHERE id = ?", incident_id)
    return _incident(v, row) if row else None


def incidents(v: ViewTx, state: str = "all", about: str | None = None) -> list[dict[str, Any]]:
    """Incidents in a state (``all``, ``open``, ``closed``), about one reference if given, newest first."""
    sql = (
        "SELECT * FROM {incident} WHERE (? = 'all' OR (closed IS NULL) = (? = 'open'))"
        " AND (? IS NULL OR id IN (SELECT incident FROM {about} WHERE ref = ?)) ORDER BY entry DESC"
    )
    return [_incident(v, row) for row in v.rows(sql, state, state, about, about)]


def _incident(v: ViewTx, row: tuple[Any, ...]) -> dict[str, Any]:
    found = dict(zip(_NAMES, row, strict=True))
    found["snapshot"] = canonical.decode(found["snapshot"].encode())
    found["drill"] = bool(found["drill"])
    sql = "SELECT ref, linked FROM {about} WHERE incident = ? ORDER BY linked, place"
    refs = v.rows(sql, found["id"])
    return {
        **found,
        "state": "open" if found["closed"] is None else "closed",
        "about": [ref for ref, linked in refs if not linked],
        "links": [ref for ref, linked in refs if linked],
    }


def _opened(v: ViewTx, r: Record) -> None:
    f: e.IncidentOpened = r.fact
    at, snapshot = time_text(r.head.at), canonical.encode(f.snapshot).decode()
    sql = "INSERT INTO {incident} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, ?)"
    title, drill = f.title.vault if f.title else None, int(bool(r.head.drill))
    v.run(sql, f.incident, f.kind, f.severity, f.origin, snapshot, title, r.head.actor, at, r.index, drill)
    for place, ref in enumerate(dict.fromkeys(f.about)):
        _about(v, r, ref, place, 0)


def _linked(v: ViewTx, r: Record) -> None:
    _about(v, r, r.fact.to, r.index, 1)


def _about(v: ViewTx, r: Record, ref: str, place: int, linked: int) -> None:
    sql = "INSERT INTO {about} VALUES (?, ?, ?, ?, ?, ?, ?)"
    v.run(sql, r.fact.incident, place, ref, linked, r.head.actor, time_text(r.head.at), r.index)


def _closed(v: ViewTx, r: Record) -> None:
    f: e.IncidentClosed = r.fact
    sql = "UPDATE {incident} SET closer = ?, closed = ?, cause = ?, note = ? WHERE id = ?"
    v.run(sql, r.head.actor, time_text(r.head.at), f.cause, f.note.vault, f.incident)


VIEW = View("incidents", TABLES, {e.IncidentOpened: _opened, e.IncidentLinked: _linked, e.IncidentClosed: _closed})
