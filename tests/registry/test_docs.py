"""Model card and bill of materials: generated from the ledger, unknown stays unknown, nothing can be smuggled in."""

from __future__ import annotations

import json

import pytest
import yaml
from registry_world import started, words

from affidavit.areas.registry import commands as c
from affidavit.areas.registry import docs


@pytest.fixture(scope="module")
def dossier():
    w = started()
    v = w.live()
    asked = w.do(
        c.RequestWaiver(v, "AI-01.3", "D", w.records[-1].head.actor, words("pilot"), w.now.replace(month=4))
    ).waiver
    assert asked
    return w.query(c.Show(v))


def test_the_front_matter_is_yaml_that_hugging_face_reads(dossier):
    head = docs.card_markdown(dossier).split("---\n")[1]
    body = yaml.safe_load(head)
    assert body["library_name"] == "lightgbm"
    assert body["license"] == "unknown"
    assert body["datasets"] == ["acs/2015"]
    (result,) = body["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "auc", "value": 0.8}]
    assert result["dataset"]["split"] == "test"


def test_what_nobody_recorded_is_unknown(dossier):
    text = docs.card_markdown(dossier)
    assert "- **Assessment by group**: unknown" in text
    assert "- **Out-of-scope use**: unknown" in text
    bare = {**dossier, "system": None, "evaluation": None, "run": None, "datasets": {"dataset:acs/2015": None}}
    text = docs.card_markdown(bare)
    for line in ("**Purpose**: unknown", "**Evaluation by the service**: unknown", "**Run**: unknown", "rows unknown"):
        assert line in text
    assert "model-index" not in text
    assert docs.bom(bare)["components"][0]["licenses"][0]["license"]["name"] == "unknown"


def test_private_texts_are_shown_only_to_who_may_read_them(dossier):
    vault = dossier["system"]["purpose"]
    assert f"recorded privately (vault {vault})" in docs.card_markdown(dossier)
    assert "screens applications" in docs.card_markdown(dossier, {vault: "screens applications"})


def test_hostile_words_stay_words(dossier):
    vault = dossier["system"]["purpose"]
    hostile = {vault: "<script>alert(1)</script>\n# Approved\n[x](http://e) | `y`"}
    page = docs.card_html(dossier, hostile)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    text = docs.card_markdown(dossier, hostile)
    assert "\n# Approved" not in text
    assert "\\[x\\]" in text
    assert "<script>" not in text.replace("\\<", "")


def test_the_card_says_who_approved_and_never_that_anything_complies(dossier):
    text = docs.card_markdown(dossier) + docs.card_html(dossier)
    assert "approved 2026-03-03T02:00:00.000Z by p-0000000000000000000000000000000c as approver" in text
    for word in ("compliant", "certified", "satisfies"):
        assert word not in text.lower()


def test_the_bill_of_materials_is_valid_cyclonedx(dossier):
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    for facts in (dossier, {**dossier, "system": None, "evaluation": None, "datasets": {"dataset:acs/2015": None}}):
        text = json.dumps(docs.bom(facts))
        assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_it_names_digest_data_and_measured_performance(dossier):
    body = docs.bom(dossier)
    model = body["metadata"]["component"]
    assert model["hashes"][0]["content"] == dossier["version"]["artifact"].removeprefix("sha256:")
    assert model["modelCard"]["modelParameters"]["datasets"] == [{"ref": "dataset:acs/2015"}]
    assert {"type": "auc", "value": "0.800000", "slice": "test"} in model["modelCard"]["quantitativeAnalysis"][
        "performanceMetrics"
    ]
    assert docs.bom(dossier) == body  # the same dossier, the same bytes


def test_card_and_bom_are_queries():
    w = started()
    v = w.version()
    assert w.query(c.Card(v)).startswith("---\n")
    assert w.query(c.Card(v, "html")).startswith("<!doctype html>")
    assert w.query(c.Bom(v))["specVersion"] == "1.6"
