"""A canary name goes through every command and every look, and is found neither in the log nor in the spool."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "api"))
from sampler import fill

from affidavit.areas.catalog import catalog
from affidavit.bootstrap import init
from affidavit.core.area import Query
from affidavit.core.codec import load_object, plan
from affidavit.core.errors import AffidavitError
from affidavit.core.fields import VaultText

CANARY = "Quillon Featherstone-Zedwick"
"""Words long enough that no digest or id holds one by chance."""
REQUESTS = [
    (a.name, cls) for a in catalog().areas.values() for cls in a.requests().values() if not issubclass(cls, Query)
]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One workspace that every request is made in: nothing of the canary may ever stand in its log."""
    folder = tmp_path_factory.mktemp("canary")
    return init(folder / "ws", clock="simulated", start=datetime(2026, 1, 5, 9, tzinfo=UTC), head="head")


@pytest.mark.parametrize(("area", "cls"), REQUESTS, ids=[f"{a}.{c.verb}" for a, c in REQUESTS])
def test_a_name_is_refused_or_kept_in_the_vault(one, area, cls):
    """In turn each string field of the request holds the name: it is refused, or it is private; no log, no stream holds it."""
    ws, before = one.workspace, one.workspace.stores.entries.size()
    for field in plan(cls).fields:
        value = with_canary({k: v.json for k, v in fill(cls, Random(3)).items() if v.file is None}, field)
        if value is None:
            continue
        try:
            request = load_object(cls, value)
        except AffidavitError:
            continue
        assert isinstance(getattr(request, field.name), VaultText) or field.schema.startswith("str<[^"), (
            f"{cls.__name__}.{field.name} takes a name"
        )
        try:
            ws.do(request, one.admin)
        except AffidavitError:
            continue
    bodies = b"".join(ws.stores.entries.entries(before, 100_000))
    streams = b"".join(p.read_bytes() for p in ws.stores.spool.rglob("*") if p.is_file())
    for word in CANARY.replace("-", " ").split():
        assert word.encode() not in bodies
        assert word.encode() not in streams


def with_canary(sample, field):
    """The sample's JSON with the canary in one field, or None for a field that holds no text."""
    value = dict(sample)
    if field.schema.startswith("str") or field.schema == "vault" or field.schema.startswith("enum"):
        return value | {field.name: CANARY}
    if field.schema.startswith("[str"):
        return value | {field.name: [CANARY]}
    if field.schema.startswith("{str"):
        return value | {field.name: {CANARY: "x", "x": CANARY}}
    return None
