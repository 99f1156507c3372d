"""The letter to the person: what was decided, why, on what data, by what, and how to contest it. Pure composition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from affidavit.areas.decisions.explain.words import Feature, Words

MOST_REASONS, MOST_OTHERS = 4, 2
STRONG, CLEAR = 0.3, 0.1
"""Share of all attributions, in magnitude, from which a reason counts strongly, or clearly."""
MOST_DETAILS = 60
MOST_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Reason:
    """A detail about the person, its value, and how much it counted."""

    detail: str
    value: str
    weight: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a letter rests on, gathered: ``inputs`` are (feature, value, attribution), attribution 0 for those the model left out."""

    decision: str
    decided: datetime
    written: datetime
    adverse: bool
    inputs: Sequence[tuple[str, Any, float]]
    model: str
    number: int
    artifact: str
    human: str
    system: str
    role: str
    purpose: str
    explainer: str
    explanation: str
    entry: int
    origin: str
    recomputed: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """The letter as text, ready to be set. ``plain`` says that every detail it names has words of its own."""

    title: str
    sender: str
    date: str
    reference: str
    opening: tuple[str, ...]
    reasons_title: str
    reasons: tuple[Reason, ...]
    others_title: str
    others: tuple[Reason, ...]
    data_intro: str
    data: tuple[tuple[str, str], ...]
    made: tuple[str, ...]
    contest: tuple[str, ...]
    contact: str
    responsible: str
    small: tuple[tuple[str, str], ...]
    simulated: str
    plain: bool

    def value(self) -> dict[str, Any]:
        """As JSON: what a template is filled with."""
        return asdict(self)


def compose(said: Said, words: Words) -> Letter:
    """The letter. Reasons are the details that moved the score towards the outcome, at most four, the strongest first."""
    sign = 1.0 if said.adverse != words.adverse_low else -1.0  # the direction of the margin that led to the outcome
    total = sum(abs(a) for _, _, a in said.inputs) or 1.0
    for_outcome = _ranked([(f, v, a) for f, v, a in said.inputs if a * sign > 0], total, words)
    other = _ranked([(f, v, a) for f, v, a in said.inputs if a * sign < 0], total, words)
    against, favour = "counted against you", "counted in your favour"
    ours, theirs = (against, favour) if said.adverse else (favour, against)
    outcome = words.adverse if said.adverse else words.favourable
    details = said.inputs[:MOST_DETAILS]
    until = said.written + timedelta(days=words.contest_days)
    return Letter(
        title=f"About the decision on {words.subject}",
        sender=words.sender,
        date=day(said.written),
        reference=said.decision,
        opening=(
            f"On {day(said.decided)}, {words.subject} {outcome}.",
            "This letter tells you the main reasons, which details about you were used, and what you can do if you disagree.",
        ),
        reasons_title=f"What {ours} most" if for_outcome else "No single detail stood out",
        reasons=tuple(for_outcome[:MOST_REASONS]),
        others_title=f"What {theirs}, but weighed less" if other else "",
        others=tuple(other[:MOST_OTHERS]),
        data_intro=f"These details were used, as they were recorded on {day(said.decided)}. If one of them is wrong, tell us.",
        data=tuple((_words(f, words).words, shown(v, _words(f, words))) for f, v, _ in details),
        made=(
            ("A computer model calculated a score from these details, in the way it had learned from earlier cases. "
            f"It was the model “{said.model}”, version {said.number}."),
            said.human,
            _origin_of_reasons(recomputed=said.recomputed),
        ),
        contest=(
            ("You can ask that a person looks at the decision again. You can say how you see it, have wrong details put right,"
            " and contest the decision."),
            f"Please do so by {day(until)}, and name the reference above.",
        ),
        contact=words.contact,
        responsible=f"Responsible is the owner of the system “{said.system}”, which we run as its {said.role}."
        + (f" Its purpose: {_sentence(said.purpose)}" if said.purpose else ""),
        small=( ("Model version", f"{said.model}/{said.number}"), ("Fingerprint", said.artifact),
            ("Explanation", f"{said.explainer}, {said.explanation}"), ("Record", f"entry {said.entry} of {said.origin}"),
        ),
        simulated="Simulated clock: dates are invented, and this letter is about nobody." if said.origin.endswith("/simulated") else "",
        plain=all(f in words.features for f, _, _ in details),
    )  # fmt: skip


def _ranked(inputs: list[tuple[str, Any, float]], total: float, words: Words) -> list[Reason]:
    inputs.sort(key=lambda i: -abs(i[2]))
    return [Reason(_words(f, words).words, shown(v, _words(f, words)), _weight(abs(a) / total)) for f, v, a in inputs]


def _weight(share: float) -> str:
    return "strongly" if share >= STRONG else "clearly" if share >= CLEAR else "somewhat"


def _words(feature: str, words: Words) -> Feature:
    found = words.features.get(feature) or Feature(feature)
    return Feature(found.words[:1].upper() + found.words[1:], found.values)


def _origin_of_reasons(*, recomputed: bool) -> str:
    split = "The reasons come from a calculation that shares the score out among the details."
    if recomputed:
        return f"{split} It was stored when the decision was made; for this letter it was made again, with the same result."
    return f"{split} It was made for this letter, with that version of the model and the recorded details."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def shown(value: Any, feature: Feature) -> str:
    """A value as people write it: codes in words, at most four significant digits, `not given` for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not given"
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    plain = str(int(value)) if whole and not isinstance(value, bool) else str(value)
    if plain in feature.values:
        return feature.values[plain]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not whole:
        return f"{value:.4g}"
    return plain if len(plain) <= MOST_CHARACTERS else plain[: MOST_CHARACTERS - 1] + "…"


def day(at: datetime) -> str:
    """``5 January 2026``."""
    return f"{at.day} {at:%B %Y}"
