"""The operational log: one JSON object a line, with no secret, no body and no query string in it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

from affidavit.core.errors import AffidavitError, Refused, StoreDown, Tampered

LOGGER = logging.getLogger("affidavit.api")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; control characters cannot break the line."""

    def format(self, record: logging.LogRecord) -> str:
        row = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            row |= failure(record.exc_info[1])
        return json.dumps(row, default=str)


def note(level: int, event: str, **fields: object) -> None:
    """Write one event. Fields are ids, numbers and names of ours; never what a caller sent."""
    LOGGER.log(level, event, extra={"fields": fields})


def failure(error: BaseException) -> dict[str, object]:
    """Class and place of an unforeseen exception; its message may hold what a caller sent, so it stays out."""
    places, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('affidavit')[2].lstrip('/')}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return {"error": type(error).__name__, "where": places[-8:]}


def problem_fields(error: AffidavitError | None) -> dict[str, object]:
    """What the log says of a refused request: its class, a rule's code, a failed store's own words."""
    if error is None:
        return {}
    row: dict[str, object] = {"problem": type(error).__name__}
    if isinstance(error, Refused):
        row["code"] = error.code
    if isinstance(error, (StoreDown, Tampered)):
        row["says"] = error.problem
    return row


def set_up(stream: TextIO) -> None:
    """Send the log of the server, and that of the HTTP machinery, to ``stream``."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    for name in (LOGGER.name, "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == LOGGER.name else logging.WARNING)
