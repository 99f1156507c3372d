"""Records and outcomes as JSON objects: one shape for ``--json`` and for HTTP."""

from __future__ import annotations

import base64
from typing import Any

from affidavit.core import codec
from affidavit.core.area import Document
from affidavit.core.envelope import Record
from affidavit.core.fields import time_text
from affidavit.service.executor import Done


def record_row(record: Record) -> dict[str, Any]:
    """A record as a JSON object; private fields show their vault id."""
    head = record.head
    row: dict[str, Any] = {
        "index": record.index, "tag": head.tag, "at": time_text(head.at), "actor": head.actor, "stream": head.stream,
        "seq": head.seq, "refs": list(head.refs), "data": codec.dump_object(record.fact),
    }  # fmt: skip
    private = {k: v.vault for k, v in codec.private_fields(record.fact).items()}
    return row | ({"private": private} if private else {}) | ({"cause": head.cause} if head.cause is not None else {})


def done_row(done: Done) -> dict[str, Any]:
    """The outcome of a command as a JSON object."""
    row: dict[str, Any] = {
        "command": done.command_id, "repeated": done.repeated, "entries": [record_row(r) for r in done.records]
    }  # fmt: skip
    if isinstance(done.result, Document):
        row["result"] = document_row(done.result)
    elif isinstance(done.result, (dict, list, str, int)):
        row["result"] = done.result
    return row


def document_row(document: Document) -> dict[str, Any]:
    """A document as a JSON object: name, media type, what it says in short, its bytes in base64."""
    body = base64.b64encode(document.body).decode()
    return {"name": document.name, "type": document.type, "facts": dict(document.facts), "body": body}
