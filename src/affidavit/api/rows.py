"""Results as JSON values and answers: the shapes of ``--json`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from affidavit.core.area import Document
from affidavit.service.rows import document_row, done_row, record_row

__all__ = ["done_row", "entry_path", "json_answer", "record_row"]
DOCUMENT = "application/vnd.affidavit.document+json"
"""Asked for by ``Accept``: a document as one JSON object instead of its bare bytes."""


def json_answer(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None, type_: str = "application/json"
) -> Response:
    """A JSON document with sorted keys; NaN and infinities never leave."""
    body = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(body.encode("utf-8", "backslashreplace"), status, headers, type_)


def document_answer(document: Document, accept: str) -> Response:
    """The bytes under their media type, named by ``Content-Disposition``, ``Document-Facts`` beside them; or JSON if asked."""
    if DOCUMENT in accept:
        return json_answer(document_row(document), type_=DOCUMENT)
    facts = json.dumps(dict(document.facts), sort_keys=True, separators=(",", ":"))
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(document.name, safe='')}",
        "document-facts": facts,
    }  # fmt: skip
    return Response(document.body, 200, headers, document.type)


def entry_path(index: int) -> str:
    """Where an entry is read."""
    return f"/v1/log/entries/{index}"
