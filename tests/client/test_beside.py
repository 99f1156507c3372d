"""What goes beside a decision: groups, late facts, explanations, heartbeats, receipts, the routing rule."""

from __future__ import annotations

import base64
import time

import pytest
from spool_reader import read_stream, stream, streams

from affidavit.core.errors import Invalid, Tampered
from affidavit.streams.ids import id_text
from affidavit.streams.passport import Condition, Routing
from affidavit.streams.receipts import ReceiptKey, check_receipt
from affidavit.streams.rows import leaf_of

ROW = {"a": 1.0}
EXPLAINED = {
    "base": 0.5,
    "margin": 0.7,
    "method": "test",
    "explainer": "test/1",
    "features": '["a"]',
    "attributions": b"\0" * 8,
}


def explain(inputs):
    return EXPLAINED | {"seed": int(inputs["a"])}


def test_groups_go_to_a_stream_of_their_own(spool, open_recorder):
    """The decision's row does not know them; the waiting row names the decision by its id and bears no time."""
    with open_recorder() as rec:
        done = rec.record(ROW, 0.5, groups={"sex": "f", "age": None})
        with pytest.raises(Invalid, match="same names"):
            rec.record(ROW, 0.5, groups={"sex": "f"})
    decisions, groups = stream(spool), stream(spool, "groups")
    assert not any(n.startswith("g.") for n in decisions.opened.schema.names)
    assert groups.opened.schema.names == ("decision", "g.age", "g.sex")
    assert groups.ids == [done.id]
    assert (groups.rows[0]["g.sex"], groups.rows[0]["g.age"]) == ("f", None)


def test_late_facts_name_the_decision(spool, open_recorder):
    """Outcome, action and explanation are rows of their streams; unknown columns are refused."""
    with open_recorder() as rec:
        done = rec.record(ROW, 0.5)
        rec.outcome(done.id, value=1.0, label="hired", observed_at=1_700_000_000_000, source="register")
        act = rec.action(done.id, "overridden", actor="p-1", outcome="hired", spent_ms=4000)
        rec.explanation(done.id, **EXPLAINED)
        with pytest.raises(Invalid, match="no column 'colour'"):
            rec.action(done.id, "held", colour="red")
        with pytest.raises(Invalid, match="is no id"):
            rec.outcome("x", value=1.0)
    outcome, action = stream(spool, "outcomes").rows[0], stream(spool, "actions").rows[0]
    assert (outcome["value"], outcome["label"], id_text(outcome["decision"])) == (1.0, "hired", done.id)
    assert (id_text(action["id"]), action["action"], action["spent_ms"]) == (act, "overridden", 4000)
    assert id_text(stream(spool, "explanations").rows[0]["decision"]) == done.id


POLICIES = {
    "never": ("limited", "never", {False: 0, True: 0}),
    "always": ("limited", "always", {False: 40, True: 40}),
    "adverse alone": ("limited", "adverse", {False: 0, True: 40}),
    "adverse of a high tier, whatever the policy": ("high", "never", {False: 0, True: 40}),
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("adverse", [False, True])
def test_the_policy_says_which_decisions_are_explained(name, adverse, spool, open_recorder):
    """The explainer is called for those and no others; its columns stand under the decision's id."""
    tier, when, wanted = POLICIES[name]
    with open_recorder(tier=tier, policy={"explain": when}, explainer=explain) as rec:
        ids = [rec.record(ROW, 0.5, adverse=adverse).id for _ in range(40)]
    found = streams(spool, "explanations")
    assert sum(len(s.rows) for s in found) == wanted[adverse]
    if found:
        assert found[0].ids == ids
        assert found[0].rows[0]["seed"] == 1


def test_a_sample_is_chosen_by_the_id(spool, open_recorder):
    """About the share, and the same ids whenever it is computed again."""
    with open_recorder(policy={"explain": "sampled", "share": "0.250000"}, explainer=explain) as rec:
        for _ in range(800):
            rec.record(ROW, 0.5)
        again = [i for i in stream(spool).ids if rec.chooses(bytes.fromhex(i.replace("-", "")), adverse=None)]
    assert stream(spool, "explanations").ids == again
    assert 140 < len(again) < 260


def test_a_high_tier_that_explains_needs_an_explainer(open_recorder):
    """Opening says so; it does not wait for the first adverse decision."""
    with pytest.raises(Invalid, match="no explainer is given"):
        open_recorder(tier="high", policy={"explain": "adverse"})


def test_a_decision_that_meets_the_routing_rule_is_held(spool, open_recorder):
    """``held`` is what ``routing.meets`` says of the row."""
    rule = Routing(
        "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d",
        "reviewer",
        (Condition("out", "below", "0.4"), Condition("in.a", "equals", "9")),
    )
    rec = open_recorder(routing=rule)
    assert [rec.record({"a": a}, out).held for a, out in ((1.0, 0.5), (1.0, 0.3), (9.0, 0.5))] == [False, True, True]


def test_a_receipt_is_signed_by_the_key_in_the_opening(spool, open_recorder):
    """It names stream, number, id and leaf; another key, and any changed field, is found out."""
    rec = open_recorder(receipts=True)
    rec.record(ROW, 0.4)
    done = rec.record(ROW, 0.5, subject="s")
    found = stream(spool)
    text = done.receipt()
    receipt = check_receipt(text, found.opened.opening.key)
    assert (receipt.stream, receipt.seq, receipt.id) == (found.opened.opening.stream, 1, done.id)
    assert receipt.leaf == leaf_of(*found.raw[1])
    with pytest.raises(Tampered, match="not signed by its stream"):
        check_receipt(text, ReceiptKey().public)
    with pytest.raises(Tampered, match="not signed"):
        check_receipt(text.replace(" 1 ", " 2 "), found.opened.opening.key)
    for bad in ("", "v2 " + text[3:], text + " x", text[:-4], text.replace(" 1 ", " 01 ")):
        with pytest.raises(Invalid, match="(?s)."):
            check_receipt(bad, found.opened.opening.key)
    with pytest.raises(Invalid, match="public key"):
        check_receipt(text, base64.b64encode(b"short").decode())


def test_no_receipts_unless_asked_for(spool, open_recorder):
    """No key is made and none stands in the opening."""
    assert open_recorder().record(ROW, 0.5).receipt() is None
    assert stream(spool).opened.opening.key is None


def test_a_heartbeat_states_what_runs_and_how_much(spool, open_recorder):
    """At opening, in between, and at the end; with the counts of the moment."""
    with open_recorder(policy={"heartbeat_s": 1, "fsync_ms": 20}) as rec:
        rec.record(ROW, 0.5)
        end = time.monotonic() + 10
        while len(stream(spool, "heartbeats").rows) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        rec.record(ROW, 0.5)
    beats = stream(spool, "heartbeats")
    rows = [beats.rows[n] for n in sorted(beats.rows)]
    assert [(r["served"], r["recorded"], r["missed"]) for r in (rows[0], rows[1], rows[-1])] == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 2, 0),
    ]
    assert id_text(rows[-1]["stream"]) == stream(spool).opened.opening.stream
    assert beats.end["rows"] == len(rows)


def test_what_is_attested_is_in_the_opening(spool, open_recorder):
    """The whole configuration, with what the process adds; its digest is in every row."""
    open_recorder(attest={"prompt": "sha256:" + "cd" * 32}).record(ROW, 0.5)
    opened = stream(spool).opened
    assert opened.attested["prompt"] == "sha256:" + "cd" * 32
    assert opened.attested["model"] == "employment/3"


def test_a_closed_recorder_records_nothing(spool, open_recorder):
    """Closing is idempotent; what comes after is refused."""
    rec = open_recorder()
    rec.record(ROW, 0.5)
    rec.close()
    rec.close()
    for late in (lambda: rec.record(ROW, 0.5), rec.heartbeat, lambda: rec.action(id_text(bytes(16)), "held")):
        with pytest.raises(Invalid, match="closed"):
            late()
    assert read_stream(stream(spool).folder).stops == ["end"]
