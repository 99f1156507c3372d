"""Letters say in plain words what was decided and why; requests are answered once, in time, by what the service wrote."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from explaining import WORDS, approve_plan, keep_explanations

from affidavit.areas.decisions.explain import letter_files
from affidavit.areas.decisions.explain.letter import Said, compose, shown
from affidavit.areas.decisions.explain.words import Feature, parse_words
from affidavit.core.errors import Invalid, NotFound, Refused

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


def said(**changes) -> Said:
    inputs = [("a", 2.0, -0.8), ("c", 1.0, 0.3), ("b", None, -0.1), ("<b>x</b>", "#text", -0.01)]
    given = {
        "decision": "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d", "decided": AT, "written": AT + timedelta(days=3), "adverse": True, "inputs": inputs,
        "model": "employment", "number": 3, "artifact": "sha256:" + "ab" * 32, "human": "Our records show no person.", "system": "hr",
        "role": "deployer", "purpose": "ranks applications", "explainer": "lightgbm-4.7.0:pred_contrib", "explanation": "sha256:" + "cd" * 32,
        "entry": 7, "origin": "example.org/log", "recomputed": True,
    }  # fmt: skip
    return Said(**given | changes)


WORDS_OF = parse_words(json.dumps(WORDS).encode())


def test_reasons_are_those_that_led_to_the_outcome():
    """Against the person for an adverse decision, strongest first with its weight in words; what spoke for them is told too."""
    made = compose(said(), WORDS_OF)
    assert [(r.detail, r.value, r.weight) for r in made.reasons] == [
        ("Years of experience", "2", "strongly"), ("Hours available a week", "not given", "somewhat"), ("<b>x</b>", "#text", "somewhat"),
    ]  # fmt: skip
    assert [(r.detail, r.value) for r in made.others] == [("The office you chose", "north")]
    assert made.opening[0] == "On 5 January 2026, your application for an appointment was not accepted."
    assert "Please do so by 7 February 2026" in made.contest[1] and not made.plain
    kind = compose(said(adverse=False), WORDS_OF)
    assert [r.detail for r in kind.reasons] == [
        "The office you chose"
    ] and kind.reasons_title == "What counted in your favour most"
    turned = compose(said(), parse_words(json.dumps(WORDS | {"adverse_when": "high"}).encode()))
    assert [r.detail for r in turned.reasons] == ["The office you chose"]
    many = [(f"f{i}", 1.0, -1.0) for i in range(9)]
    assert len(compose(said(inputs=many), WORDS_OF).reasons) == 4


def test_the_page_is_self_contained_and_escaped():
    """No script, nothing from elsewhere, no value that becomes markup; a simulated log says so."""
    page = letter_files.html(compose(said(origin="example.org/log/simulated"), WORDS_OF)).decode()
    assert "<b>x</b>" not in page and "&lt;b&gt;x&lt;/b&gt;" in page and "Simulated clock" in page
    assert not re.search(r"<script|https?:|src=|url\(|@import", page)


def test_the_pdf_is_the_same_each_time():
    """PDF/A and tagged; what looks like Typst in a value is text; the bytes depend on the letter and its date alone."""
    pytest.importorskip("typst")
    made = compose(said(), WORDS_OF)
    one, two = letter_files.pdf(made, AT), letter_files.pdf(made, AT)
    assert one == two and one.startswith(b"%PDF-") and b"pdfaid" in one
    assert letter_files.pdf(made, AT + timedelta(days=1)) != one


BAD_WORDS = {
    "no contact": ({k: v for k, v in WORDS.items() if k != "contact"}, "contact"),
    "another key": (WORDS | {"logo": "x"}, "logo"),
    "no adverse words": (WORDS | {"decision": {"favourable": "was accepted"}}, "adverse"),
    "no direction": (WORDS | {"adverse_when": "sometimes"}, "neither low nor high"),
    "no day": (WORDS | {"contest_days": 0}, "contest_days"),
    "empty words": (WORDS | {"features": {"a": " "}}, "a:"),
    "no list": ([], "lacks"),
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_words_that_cannot_be_used_are_named(case):
    """The error names the field."""
    value, says = BAD_WORDS[case]
    with pytest.raises(Invalid, match=says):
        parse_words(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("value", "says"),
    [(None, "not given"), (float("nan"), "not given"), (3.0, "3"), (0.123456, "0.1235"), (True, "yes"), (1, "north"), (1.0, "north"), ("x" * 99, "x" * 79 + "…")],
)  # fmt: skip
def test_values_are_shown_as_people_write_them(value, says):
    """Codes in words, at most four significant digits."""
    assert shown(value, Feature("office", {"1": "north"} if value in (1,) and value is not True else {})) == says


def test_a_request_is_answered_by_a_letter(house):
    """The letter's digest is that of the file handed over, it is kept nowhere, and a request is answered once."""
    ws, privacy = house.ws, house.who["privacy"]
    ids = house.record(12)
    adverse = next(i for i in range(12) if house.booster.predict(house.x[i : i + 1])[0] < 0.5)
    keep_explanations(house, ids)
    house.seal()
    asked = ws.decisions.request_explanation(ids[adverse], channel="portal", wish="contest", by=privacy).facts[0]
    assert asked.due == asked.received + timedelta(days=30)
    with pytest.raises(Refused, match="no explainer plan"):
        ws.decisions.letter(ids[adverse], by=privacy)
    approve_plan(house)
    with pytest.raises(Refused, match="no plain words"):
        ws.decisions.letter(ids[adverse], by=privacy)
    approve_plan(house, words=WORDS)
    shown = ws.decisions.letter(ids[adverse], by=privacy)
    page = shown.body.decode()
    assert (
        "was not accepted" in page
        and "Years of experience" in page
        and "no person" in page
        and "made again, with the same result" in page
    )
    done = ws.decisions.answer_explanation(asked.request, format="html", by=privacy)
    fact, document = done.facts[0], done.result
    assert fact.letter == "sha256:" + hashlib.sha256(document.body).hexdigest()
    assert (fact.plain, fact.contest, fact.recomputed, fact.decision) == (True, True, True, ids[adverse])
    with pytest.raises(NotFound):
        ws.stores.objects.open(fact.letter).close()
    with pytest.raises(Refused, match="was answered"):
        ws.decisions.answer_explanation(asked.request, by=privacy)
    other = ws.decisions.request_explanation(ids[0], channel="post", by=privacy).facts[0]
    with pytest.raises(Refused, match="needs a reason"):
        ws.decisions.answer_explanation(other.request, outcome="refused", by=privacy)
    assert [r["request"] for r in ws.decisions.explanation_requests(by=privacy)] == [other.request]
    refused = ws.decisions.answer_explanation(
        other.request, outcome="refused", reason="the request is about another person", by=privacy
    )
    assert refused.facts[0].letter is None and ws.decisions.explanation_requests(by=privacy) == []
    with pytest.raises(Invalid, match="lies ahead"):
        ws.decisions.request_explanation(
            ids[0], channel="post", received=house.clock.now() + timedelta(days=1), by=privacy
        )
    with pytest.raises(NotFound):
        ws.decisions.letter("018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d", by=privacy)
