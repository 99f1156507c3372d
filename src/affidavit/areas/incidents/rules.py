"""What incidents decides: opening, linking, closing, and what a signal calls for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast, get_args

from affidavit.areas.incidents import commands as c
from affidavit.areas.incidents import events as e
from affidavit.areas.incidents import view
from affidavit.core.area import Command, Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.signals import Breach, Tamper

LEVELS: tuple[str, ...] = get_args(e.Level)
KINDS: tuple[str, ...] = get_args(e.Kind)
LEAST_WORDS = 12
MOST_REFS, MOST_STATS = 32, 24
SEVERITY: Mapping[str, e.Level] = {"info": "low", "warning": "medium", "critical": "critical"}
MEANS: Mapping[str, e.Kind] = {
    "missing": "data-quality", "schema": "data-quality", "range": "data-quality", "freshness": "data-quality",
    "duplicates": "data-quality", "quality": "data-quality", "drift": "data-drift", "feature-drift": "data-drift",
    "prior-shift": "data-drift", "label-drift": "data-drift", "concept": "concept-drift", "accuracy": "performance",
    "calibration": "performance", "fairness": "bias", "disparity": "bias", "bias-amplification": "bias",
    "amplification": "bias", "groundedness": "hallucination", "evasion": "adversarial", "extraction": "adversarial",
    "probing": "adversarial", "injection": "adversarial", "jailbreak": "adversarial", "poisoning": "adversarial",
    "leak": "privacy", "personal-data": "privacy", "reidentification": "privacy", "tamper": "tampering",
    "integrity": "tampering", "outage": "availability", "latency": "availability", "heartbeat": "availability",
}  # fmt: skip
"""What an area calls a breach → the kind of incident. The taxonomy's own words mean themselves."""
_VAGUE = frozenset({"n/a", "na", "none", "fixed", "done", "tbd", "todo", "unknown", "closed", "resolved", "see above"})
_NOT_TOKEN = re.compile(r"[^A-Za-z0-9._:/@+=,~^*<>%()\[\]-]")


def open_incident(cmd: c.OpenIncident, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """By hand, about at least one thing; what it concerns is named first."""
    _some(cmd.about)
    return [_opened(ctx, cmd.kind, cmd.severity, cmd.about, "hand", {}, cmd)]


def open_from_signal(cmd: c.OpenFromSignal, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """With the figures frozen as the signal gave them."""
    _some(cmd.about)
    return [_opened(ctx, cmd.kind, cmd.severity, cmd.about, "signal", cmd.snapshot)]


def _some(about: tuple[str, ...]) -> None:
    if not 1 <= len(about) <= MOST_REFS:
        raise Invalid(
            f"about names {len(about)} things.", next_step=f"name 1 to {MOST_REFS}, such as model:employment/3."
        )


def _opened(
    ctx: Ctx, kind: e.Kind, severity: e.Level, about: tuple[str, ...], origin: Any, snapshot: dict[str, str],
    cmd: c.OpenIncident | None = None,
) -> Draft:  # fmt: skip
    refs = tuple(dict.fromkeys(about))
    fact = e.IncidentOpened(ctx.ids[0], kind, severity, refs, origin, snapshot, cmd.title if cmd else None)
    return Draft(fact, (f"incident:{ctx.ids[0]}", *refs))


def link(cmd: c.LinkIncident, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """While it is open, and to each thing once."""
    found = _open(cmd.incident, state)
    if cmd.to == f"incident:{cmd.incident}":
        raise Invalid("an incident is not linked to itself.", next_step="name another reference.")
    if cmd.to in (*found["about"], *found["links"]):
        raise Refused("already_linked", f"incident {cmd.incident} names {cmd.to}.", next_step="nothing to do.")
    return [Draft(e.IncidentLinked(cmd.incident, cmd.to), (f"incident:{cmd.incident}", cmd.to))]


def close(cmd: c.CloseIncident, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """With a graded cause and a note that says something."""
    found = _open(cmd.incident, state)
    words = cmd.note.words().strip()
    if len(words) < LEAST_WORDS or words.lower().strip(".!? ") in _VAGUE:
        raise Invalid(
            "note says too little.",
            next_step="say what caused it: 'a file of the artifact was overwritten by a backup job'.",
        )
    fact = e.IncidentClosed(cmd.incident, cmd.cause, cmd.note)
    return [Draft(fact, (f"incident:{cmd.incident}", *found["about"]))]


def _open(incident_id: str, state: ViewTx) -> dict[str, Any]:
    found = view.incident(state, incident_id)
    if found is None:
        raise NotFound(f"no incident {incident_id}.", next_step="`affidavit incidents incidents` lists them.")
    if found["state"] == "closed":
        raise Refused(
            "incident_closed", f"incident {incident_id} was closed {found['closed']}.", next_step="open another one."
        )
    return found


def on_tamper(signal: Tamper, state: ViewTx, ctx: Ctx) -> list[Command]:
    """Altered bytes are a critical incident of the kind tampering."""
    snapshot = {"expected": signal.expected, "found": signal.found}
    return _answer(state, ctx, "tampering", "critical", signal.refs, snapshot)


def on_breach(signal: Breach, state: ViewTx, ctx: Ctx) -> list[Command]:
    """A breach is an incident of its kind; the signal's own word for it stays in the snapshot."""
    snapshot = {"breach": signal.kind, **dict(list(signal.stats.items())[:MOST_STATS])}
    return _answer(state, ctx, kind_of(signal.kind), SEVERITY[signal.severity], signal.refs, snapshot)


def kind_of(breach: str) -> e.Kind:
    """The kind of incident a breach is: a word of the taxonomy, a word of ``MEANS``, else performance."""
    word = breach.lower().replace("_", "-")
    return cast("e.Kind", word) if word in KINDS else MEANS.get(word, "performance")


def _answer(
    state: ViewTx, ctx: Ctx, kind: e.Kind, severity: e.Level, refs: tuple[str, ...], snapshot: Mapping[str, str]
) -> list[Command]:
    """Open an incident, or link what is new to the open one of this kind about the same first reference.

    An open incident that is less severe than the signal does not take it in: a second one is opened.
    """
    about = refs[:MOST_REFS] or ("signal:unnamed",)
    for found in view.incidents(state, "open", about[0]):
        severe = LEVELS.index(found["severity"]) >= LEVELS.index(severity)
        if found["kind"] == kind and found["about"][0] == about[0] and severe and found["drill"] == ctx.drill:
            known = (*found["about"], *found["links"])
            return [c.LinkIncident(found["id"], ref) for ref in dict.fromkeys(about) if ref not in known]
    figures = {_token(k): _token(v) for k, v in snapshot.items()}
    return [c.OpenFromSignal(kind, severity, about, figures)]


def _token(text: str) -> str:
    """The text as a token: other characters become ``_``, one that cannot lead gets ``_`` before it, empty is ``none``."""
    found = _NOT_TOKEN.sub("_", text)[:128]
    if not found:
        return "none"
    return found if found == "*" or found[0].isalnum() or found[0] == "_" else "_" + found[:127]


def list_incidents(q: c.ListIncidents, state: ViewTx, ctx: Ctx) -> list[dict[str, Any]]:
    """Newest first; an empty list if there is none."""
    return view.incidents(state, q.state, q.about)


def show_incident(q: c.ShowIncident, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """The incident, or ``NotFound``."""
    found = view.incident(state, q.incident)
    if found is None:
        raise NotFound(f"no incident {q.incident}.", next_step="`affidavit incidents incidents` lists them.")
    return found
