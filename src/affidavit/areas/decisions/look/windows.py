"""The windows of raw readings a decision names, each set against what is at hand: verified, altered, missing, not checked."""

from __future__ import annotations

import re
from typing import Any

from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.digest import verified_chunks
from affidavit.core.errors import Invalid, NotFound, Tampered

MOST_WINDOWS = 100
"""Windows of one decision that a trace looks into."""
MOST_BYTES = 64 << 20
"""Largest stored object that a trace hashes."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def windows_of(desk: Desk, sources: str | None) -> list[dict[str, Any]] | str:
    """Each window as recorded, with ``check``, ``why`` and the feature run that read it."""
    if sources is None:
        return "unknown: none were recorded"
    try:
        windows = canonical.parse(sources.encode())
    except Invalid as e:
        return f"unknown: the recorded text is no list of windows: {e.problem[:200]}"
    if not isinstance(windows, list) or not all(isinstance(w, dict) for w in windows):
        return "unknown: the recorded text is no list of windows"
    found = [_window(desk, w) for w in windows[:MOST_WINDOWS]]
    return (
        found
        if len(windows) <= MOST_WINDOWS
        else [*found, {"check": "not checked", "why": f"{len(windows) - MOST_WINDOWS} more windows"}]
    )


def _window(desk: Desk, window: dict[str, Any]) -> dict[str, Any]:
    check, why = _checked(desk, window)
    return {**window, "check": check, "why": why, "feature_run": _run(desk, window.get("run"))}


def _run(desk: Desk, run: Any) -> Any:
    name = str(run or "").removeprefix("run:")
    if not name:
        return "unknown: the window names none"
    known = desk.ask("lineage.run", name) if _ID.fullmatch(name) else None
    if known is None:
        return f"missing: run {name[:80]} is not recorded"
    return {
        k: known[k] for k in ("id", "started", "ended", "code", "environment", "inputs", "output", "actor", "entry")
    }


def _checked(desk: Desk, window: dict[str, Any]) -> tuple[str, str]:
    """``(verified | altered | missing | not checked, why)``: by the dataset the window names, else by a stored object."""
    dataset, file = window.get("dataset"), window.get("file")
    digest = _digest(window.get("digest"))
    if isinstance(dataset, str):
        known = desk.ask("lineage.dataset", dataset.removeprefix("dataset:"))
        if known is None:
            return "missing", f"{dataset[:160]} is not registered"
        if not digest:
            return "not checked", "the window states no digest"
        if digest == known["content"] or any(digest == s["content"] for s in desk.ask("lineage.splits", dataset)):
            return "verified", f"{dataset} is registered with these bytes"
        return "altered", f"{dataset} is registered as {known['content']}"
    stored = _digest(file) or digest
    if stored is None:
        return "not checked", "the window states no digest"
    try:
        with desk.open(stored) as source:
            if source.seek(0, 2) > MOST_BYTES:
                return "not checked", "it is stored, and too large to be hashed for a trace"
            source.seek(0)
            for _ in verified_chunks(source, stored, "the window"):
                pass
    except NotFound:
        return ("missing", f"{stored} is not stored") if file else ("not checked", "its bytes are not at hand")
    except Tampered as e:
        return "altered", e.problem
    if digest and digest != stored:
        return "altered", f"the file at hand is {stored}"
    return "verified", "the stored object has these bytes"


def _digest(value: Any) -> str | None:
    return value if isinstance(value, str) and _DIGEST.fullmatch(value) else None
