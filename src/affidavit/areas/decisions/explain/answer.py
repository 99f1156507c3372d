"""Writing the letter about a decision, and answering a person's request with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.explain import commands as c
from affidavit.areas.decisions.explain import explanation as ex
from affidavit.areas.decisions.explain import letter_files
from affidavit.areas.decisions.explain.letter import Letter, Said, compose, day
from affidavit.areas.decisions.explain.rules import CONTROLS, in_force, needs_reason, open_request
from affidavit.areas.decisions.explain.words import Words, parse_words
from affidavit.areas.decisions.look.finding import seen
from affidavit.areas.decisions.look.later import late_rows
from affidavit.core import digest as digests
from affidavit.core.area import Desk, Document
from affidavit.core.digest import read_verified
from affidavit.core.errors import Refused

TYPES = {"html": "text/html", "pdf": "application/pdf"}
LOOKED = {"released": "let it stand", "overridden": "changed it", "reopened": "opened it again"}
"""Actions in which a person looked at a decision, in words."""


@dataclass(frozen=True, slots=True)
class Written:
    """A letter with the explanation it rests on and its file."""

    explained: ex.Explained
    letter: Letter
    document: Document
    digest: str


def letter(request: c.WriteLetter, desk: Desk) -> Document:
    """The file; what it says in short is in its facts."""
    return written(desk, request.decision, request.format, "letter").document


def answer(request: c.AnswerExplanation, desk: Desk) -> tuple[c.RecordAnswer, Any]:
    """The answer to an open request. A letter is made here, so that its digest is no claim."""
    found = open_request(desk.ask("decisions.explanation_request", request.request), request.request)
    needs_reason(request.outcome, request.reason)
    decision = found["decision"]
    if request.outcome == "letter":
        made = written(desk, decision, request.format, "answer-explanation")
        version = made.explained.version
        command = c.RecordAnswer(
            request.request, decision, "letter", version.name, version.artifact, made.digest, made.explained.digest,
            made.explained.stored is not None, made.letter.plain, bool(made.letter.contact), request.reason,
        )  # fmt: skip
        return command, made.document
    version = ex.version_of(desk, seen(desk, decision, "answer-explanation"))
    command = c.RecordAnswer(
        request.request, decision, request.outcome, version.name, version.artifact, None, None, False, False, False, request.reason,
    )  # fmt: skip
    return command, {"request": request.request, "outcome": request.outcome}


def written(desk: Desk, decision: str, form: str, verb: str) -> Written:
    """The letter about a decision. Raises ``Refused`` where the words for it, or its outcome, were never recorded."""
    explained = ex.explained(desk, decision, verb)
    words = words_of(desk, explained.version.model)
    adverse = explained.row.values["adverse"]
    if adverse is None:
        raise Refused(
            "outcome_unknown", f"decision {decision} was recorded without saying whether it is adverse.",
            next_step="record `adverse` with each decision; answer this request in your own words.", controls=CONTROLS,
        )  # fmt: skip
    made = compose(_said(desk, explained, adverse=adverse), words)
    body = letter_files.html(made) if form == "html" else letter_files.pdf(made, desk.now)
    digest = digests.of_bytes(body)
    facts = {
        "decision": decision, "version": explained.version.name, "letter": digest, "explanation": explained.digest,
        "reasons": [f"{r.detail}: {r.value} ({r.weight})" for r in made.reasons], "plain": made.plain,
        "recomputed": explained.stored is not None,
    }  # fmt: skip
    return Written(explained, made, Document(body, TYPES[form], f"letter-{decision}.{form}", facts), digest)


def words_of(desk: Desk, model: str) -> Words:
    """The words that were approved with the model's explainer plan."""
    plan = in_force(desk.ask("decisions.explainer_in_force", model), model)
    if plan["words"] is None:
        raise Refused(
            "no_words", f"the explainer plan of {model} has no plain words, and no way to contest.",
            next_step="propose the plan again with --words FILE; another person approves it.", controls=CONTROLS,
        )  # fmt: skip
    with desk.open(plan["words"]) as source:
        return parse_words(read_verified(source, plan["words"], "the file of words"))


def _said(desk: Desk, explained: ex.Explained, *, adverse: bool) -> Said:
    version, row = explained.version, explained.row
    system = desk.ask("registry.system", desk.ask("registry.system_of_model", version.model)) or {}
    inputs = [(f, explained.value(f), a) for f, a in zip(explained.features, explained.attributions, strict=True)]
    return Said(
        decision=explained.decision,
        decided=datetime.fromtimestamp(row.values["at"] / 1000, UTC),
        written=desk.now,
        adverse=adverse,
        inputs=sorted(inputs, key=lambda i: -abs(i[2])),
        model=version.model,
        number=version.number,
        artifact=version.artifact,
        human=human(desk, explained.decision, row),
        system=system.get("system") or version.model,
        role=system.get("role") or "operator",
        purpose=(desk.vault_text(system["purpose"]) if system.get("purpose") else None) or "",
        explainer=explained.explainer,
        explanation=explained.digest,
        entry=row.placed.record.index,
        origin=desk.origin,
        recomputed=explained.stored is not None,
    )


def human(desk: Desk, decision: str, row: sealed_rows.Row) -> str:
    """What a person had to do with it, from the sealed actions."""
    start = datetime.fromtimestamp(row.values["at"] / 1000, UTC) - ex.SLACK
    said = []
    for where in sealed_rows.segments_between(desk, "actions", start):
        for found in late_rows(desk, where, decision):
            v = found.values
            if v.get("action") in LOOKED and v.get("at") is not None:
                role = v.get("role") or "reviewer"
                at = datetime.fromtimestamp(v["at"] / 1000, UTC)
                said.append(f"A person in the role of {role} looked at it on {day(at)} and {LOOKED[v['action']]}.")
    return " ".join(said) or "Our records show no person who looked at this decision before it took effect."
