"""Incidents: opened by hand or by a signal, linked, closed with a graded cause."""

from __future__ import annotations

from typing import get_args

import pytest
from area_world import ANNA, BEN, World, digest, ident, words

from affidavit.areas.incidents import AREA, rules
from affidavit.areas.incidents import commands as c
from affidavit.areas.incidents.events import IncidentLinked, IncidentOpened, Kind
from affidavit.core.codec import checked
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.signals import Breach, Tamper

MODEL, VERSION = "model:employment", "model:employment/3"
TAMPER = Tamper((MODEL, VERSION), digest(1), digest(2))
CAUSE = words("a backup job overwrote a file of the artifact")


def opened(w: World, *, kind="bias", severity="high", about=(MODEL,), **changes) -> str:
    return str(w.do(c.OpenIncident(kind, severity, about, **changes))[0].fact.incident)


def test_an_incident_is_opened_about_something():
    """Its facts name the incident first, then what it concerns; break-glass reads its entry and time."""
    w = World(AREA)
    incident = opened(w, about=(MODEL, VERSION, MODEL), title=words("answers differ by sex"))
    head = w.records[0].head
    assert head.refs == (f"incident:{incident}", MODEL, VERSION) and head.stream == f"incident:{incident}"
    found = w.answer("incidents.incident", incident)
    assert (found["state"], found["entry"], found["origin"], found["about"]) == ("open", 0, "hand", [MODEL, VERSION])
    assert found["drill"] is False
    assert found["at"].endswith("Z") and found["opener"] == ANNA and found["title"] and not found["drill"]
    assert w.answer("incidents.incident", ident(1)) is None


@pytest.mark.parametrize("about", [(), tuple(f"model:m/{i}" for i in range(1, 40))])
def test_an_incident_concerns_one_to_thirty_two_things(about):
    """Nothing and everything are no subject."""
    with pytest.raises(Invalid, match="about names"):
        opened(World(AREA), about=about)


def test_links_are_added_once_while_it_is_open():
    """To another thing; not twice, not to itself, not once it is closed."""
    w = World(AREA)
    incident = opened(w)
    w.do(c.LinkIncident(incident, "dataset:acs/2015"), BEN)
    assert w.query(c.ShowIncident(incident))["links"] == ["dataset:acs/2015"]
    for to in (MODEL, "dataset:acs/2015"):
        with pytest.raises(Refused) as refusal:
            w.do(c.LinkIncident(incident, to))
        assert refusal.value.code == "already_linked"
    with pytest.raises(Invalid, match="itself"):
        w.do(c.LinkIncident(incident, f"incident:{incident}"))
    w.do(c.CloseIncident(incident, "confirmed", CAUSE))
    with pytest.raises(Refused) as refusal:
        w.do(c.LinkIncident(incident, "dataset:acs/2016"))
    assert refusal.value.code == "incident_closed"


def test_closing_needs_a_cause_in_words():
    """Graded, said, once; an unknown incident is not found."""
    w = World(AREA)
    incident = opened(w)
    for note in ("fixed", "done.", "see above"):
        with pytest.raises(Invalid, match="says too little"):
            w.do(c.CloseIncident(incident, "likely", words(note)))
    (made,) = w.do(c.CloseIncident(incident, "likely", CAUSE), BEN)
    assert made.head.refs == (f"incident:{incident}", MODEL)
    found = w.query(c.ShowIncident(incident))
    assert (found["state"], found["cause"], found["closer"]) == ("closed", "likely", BEN)
    with pytest.raises(Refused):
        w.do(c.CloseIncident(incident, "likely", CAUSE))
    for command in (c.CloseIncident(ident(9), "likely", CAUSE), c.LinkIncident(ident(9), MODEL)):
        with pytest.raises(NotFound):
            w.do(command)
    with pytest.raises(NotFound):
        w.query(c.ShowIncident(ident(9)))


def test_an_incident_says_what_it_concerns_where_it_stands_and_whether_it_is_planted():
    """Others judge by these three: break-glass needs one that is real, about the model, and recorded before."""
    w = World(AREA)
    real = opened(w, about=(MODEL, VERSION))
    planted = str(w.do(c.OpenIncident("bias", "high", (VERSION,)), drill=True)[0].fact.incident)
    w.do(c.LinkIncident(real, "dataset:acs/2015"))
    for incident, expected in ((real, ([MODEL, VERSION], False, 0)), (planted, ([VERSION], True, 1))):
        found = w.answer("incidents.incident", incident)
        assert (found["about"], found["drill"], found["entry"]) == expected


def test_incidents_are_listed_by_state_and_subject():
    """Newest first; open or closed; about or linked to a thing."""
    w = World(AREA)
    first, second = opened(w), opened(w, about=("dataset:acs/2015",))
    w.do(c.LinkIncident(second, MODEL))
    w.do(c.CloseIncident(first, "confirmed", CAUSE))

    def ids(**q):
        return [i["id"] for i in w.query(c.ListIncidents(**q))]

    assert ids() == [second, first] and ids(state="open") == [second] and ids(state="closed") == [first]
    assert (
        ids(about=MODEL) == [second, first]
        and ids(about=MODEL, state="closed") == [first]
        and ids(about="model:x") == []
    )


def test_altered_bytes_open_a_critical_incident():
    """With both digests frozen, about what the signal names."""
    w = World(AREA)
    (made,) = w.react(TAMPER)
    assert (made.fact.kind, made.fact.severity, made.fact.origin) == ("tampering", "critical", "signal")
    assert made.fact.snapshot == {"expected": digest(1), "found": digest(2)} and made.fact.about == (MODEL, VERSION)


def test_the_same_signal_again_opens_nothing():
    """While the incident is open nothing new is recorded; a new reference is linked; after closing a new one opens."""
    w = World(AREA)
    incident = w.react(TAMPER)[0].fact.incident
    assert w.react(TAMPER) == []
    (made,) = w.react(Tamper((MODEL, "model:employment/4"), digest(1), digest(3)))
    assert made.fact == IncidentLinked(incident, "model:employment/4")
    assert w.react(Tamper((MODEL, "model:employment/4"), digest(1), digest(3))) == []
    w.do(c.CloseIncident(incident, "confirmed", CAUSE))
    assert isinstance(w.react(TAMPER)[0].fact, IncidentOpened)


@pytest.mark.parametrize(
    ("signal", "drill"),
    [
        (Tamper(("model:other", VERSION), digest(1), digest(2)), False),
        (Breach("fairness", "critical", (MODEL,)), False),
        (TAMPER, True),
    ],
)
def test_another_thing_kind_or_a_drill_is_another_incident(signal, drill):
    """A real alert never disappears in a planted one, nor in one about something else."""
    w = World(AREA)
    w.react(TAMPER)
    (made,) = w.react(signal, drill=drill)
    assert isinstance(made.fact, IncidentOpened) and bool(made.head.drill) is drill


def test_a_graver_signal_opens_a_second_incident():
    """An open low incident does not take in a critical breach; the critical one takes in the next warning."""
    w = World(AREA)
    w.react(Breach("bias", "info", (MODEL,)))
    assert w.react(Breach("bias", "critical", (MODEL,)))[0].fact.severity == "critical"
    assert w.react(Breach("bias", "warning", (MODEL,))) == []


@pytest.mark.parametrize(
    ("breach", "kind"),
    [(k, k) for k in get_args(Kind)]
    + [
        ("fairness", "bias"), ("bias_amplification", "bias"), ("drift", "data-drift"), ("Prior-Shift", "data-drift"),
        ("schema", "data-quality"), ("extraction", "adversarial"), ("leak", "privacy"), ("heartbeat", "availability"),
        ("something new", "performance"),
    ],
)  # fmt: skip
def test_a_breach_has_a_kind_of_the_taxonomy(breach, kind):
    """Its own word, a known other word, or performance; the word itself stays in the snapshot."""
    (made,) = World(AREA).react(Breach(breach, "warning", (MODEL,)))
    assert (made.fact.kind, made.fact.severity) == (kind, "medium")
    assert made.fact.snapshot["breach"] == breach.replace(" ", "_")


def test_every_mapped_kind_is_of_the_taxonomy():
    """The table names nothing else."""
    assert set(rules.MEANS.values()) <= set(get_args(Kind)) and not set(rules.MEANS) & set(get_args(Kind))


def test_figures_become_tokens_and_stay_few():
    """Whatever an area measured fits into an entry: odd characters, empty and long values, many of them."""
    stats = {"p value": "-0.5", "": "", "ü": "a b\n" * 100, "*": "*", **{f"s{i}": "1" for i in range(60)}}
    (command,) = rules.on_breach(
        Breach("bias", "critical", (), stats), World(AREA).view, World(AREA).ctx(ANNA, object())
    )
    assert checked(command) == command and command.about == ("signal:unnamed",)
    assert len(command.snapshot) <= 25 and command.snapshot["p_value"] == "_-0.5"
    assert all(len(v) <= 128 for v in command.snapshot.values())
