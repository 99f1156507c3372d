"""Recorded decisions are sealed and found again."""

from affidavit.areas.decisions import sealed_rows
from affidavit.service.desk import ServiceDesk


def test_a_recorded_decision_is_sealed_and_found(house):
    """What the writer returned is in a segment whose header stands in the log."""
    ids = house.record(50)
    done = house.seal()
    assert [f.TAG for f in done.facts] == [
        "decisions.stream_opened",
        "decisions.batch_sealed",
        "decisions.stream_closed",
    ]
    desk = ServiceDesk(house.ws.executor, house.admin, local=True)
    row = sealed_rows.find(desk, ids[7])
    assert (row.index, row.values["caller"]) == (7, "portal")
