"""Results as JSON values and answers: the shapes of ``--json`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from affidavit.service.rows import done_row, record_row

__all__ = ["done_row", "entry_path", "json_answer", "record_row"]


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON document with sorted keys; NaN and infinities never leave."""
    body = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(body.encode("utf-8", "backslashreplace"), status, headers, "application/json")


def entry_path(index: int) -> str:
    """Where an entry is read."""
    return f"/v1/log/entries/{index}"
