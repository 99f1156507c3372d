"""Telling a serving process what it needs: the passport of a deployment, into the spool."""

from __future__ import annotations

from typing import Any

from affidavit.areas.decisions.record import commands as c
from affidavit.core.area import Desk
from affidavit.streams.passport import make_passport, write_passport


def equip(request: c.Equip, desk: Desk) -> tuple[None, Any]:
    """The passport of what serves now, written and shown. Raises ``NotFound``, ``Invalid``, ``StoreDown``."""
    passport = make_passport(request.model, request.env, desk.origin, desk.rules.body.get("recorder", {}), desk.ask)
    write_passport(desk.spool, passport)
    return None, passport
