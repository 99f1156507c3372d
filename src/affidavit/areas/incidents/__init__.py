"""Incidents, first form: opened by hand or by a signal, linked, closed with a graded cause."""

from affidavit.areas.incidents import commands as c
from affidavit.areas.incidents import events as e
from affidavit.areas.incidents import rules as r
from affidavit.areas.incidents import view as v
from affidavit.core.area import Area
from affidavit.core.signals import Breach, Tamper

AREA = Area(
    name="incidents",
    summary="incidents opened by hand or by a signal, linked, closed",
    facts=(e.IncidentOpened, e.IncidentLinked, e.IncidentClosed),
    commands={
        c.OpenIncident: r.open_incident,
        c.OpenFromSignal: r.open_from_signal,
        c.LinkIncident: r.link,
        c.CloseIncident: r.close,
    },
    queries={c.ListIncidents: r.list_incidents, c.ShowIncident: r.show_incident},
    answers={"incident": v.incident},
    reacts={Tamper: r.on_tamper, Breach: r.on_breach},
    view=v.VIEW,
)
