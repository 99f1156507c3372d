"""The plain words of a model's letters: a JSON file, approved with the explainer's plan. Pure.

Example::

    {"subject": "your application for an appointment",
     "decision": {"adverse": "was not accepted", "favourable": "was accepted"},
     "adverse_when": "low",
     "features": {"age": "your age in years", "sector": {"words": "the sector you work in", "values": {"1": "public"}}},
     "contact": "Write to us at the address on this page, or answer in the portal.",
     "contest_days": 30}

``adverse_when`` says whether a low or a high score is adverse; ``sender`` (who writes) may be added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from affidavit.core.errors import Invalid

_KEYS = {"subject", "decision", "adverse_when", "features", "contact", "contest_days"}
MOST = 600
_NEXT = "see `affidavit decisions propose-explainer --help` for the file of words; propose the plan again with it."


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature in plain words, and its values where they are codes."""

    words: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Words:
    """What a letter says in words that nobody can read out of a model."""

    subject: str
    adverse: str
    favourable: str
    adverse_low: bool
    features: Mapping[str, Feature]
    contact: str
    contest_days: int
    sender: str = ""


def parse_words(body: bytes) -> Words:
    """The words of a file. Raises ``Invalid`` naming the field that is missing or off."""
    try:
        value = json.loads(body.decode())
    except ValueError as e:
        raise Invalid(f"the file of words is no JSON: {e}.", next_step=_NEXT) from None
    if not isinstance(value, dict) or not _KEYS <= set(value) <= _KEYS | {"sender"}:
        off = _KEYS ^ (set(value) - {"sender"}) if isinstance(value, dict) else _KEYS
        raise Invalid(f"the file of words lacks or has too much: {', '.join(sorted(off))}.", next_step=_NEXT)
    decision, features, days = value["decision"], value["features"], value["contest_days"]
    if not isinstance(decision, dict) or set(decision) != {"adverse", "favourable"}:
        raise Invalid("decision: say `adverse` and `favourable`.", next_step=_NEXT)
    if value["adverse_when"] not in ("low", "high"):
        raise Invalid(f"adverse_when: {value['adverse_when']!r} is neither low nor high.", next_step=_NEXT)
    if type(days) is not int or not 1 <= days <= 3660:
        raise Invalid(f"contest_days: {days!r} is no number of days from 1 to 3660.", next_step=_NEXT)
    if not isinstance(features, dict):
        raise Invalid("features: give words by the name of the feature.", next_step=_NEXT)
    return Words(
        _text("subject", value["subject"]), _text("adverse", decision["adverse"]), _text("favourable", decision["favourable"]),
        value["adverse_when"] == "low", {str(n): _feature(str(n), f) for n, f in features.items()},
        _text("contact", value["contact"]), days, _text("sender", value["sender"]) if "sender" in value else "",
    )  # fmt: skip


def _feature(name: str, value: Any) -> Feature:
    if isinstance(value, str):
        return Feature(_text(name, value))
    if not isinstance(value, dict) or set(value) != {"words", "values"} or not isinstance(value["values"], dict):
        raise Invalid(f"features.{name}: give words, or `words` and `values`.", next_step=_NEXT)
    return Feature(_text(name, value["words"]), {str(k): _text(name, v) for k, v in value["values"].items()})


def _text(name: str, value: Any) -> str:
    if (
        not isinstance(value, str)
        or not value.strip()
        or len(value) > MOST
        or not all(c.isprintable() or c == "\n" for c in value)
    ):
        raise Invalid(f"{name}: {str(value)[:40]!r} is no text of 1 to {MOST} printable characters.", next_step=_NEXT)
    return value.strip()
