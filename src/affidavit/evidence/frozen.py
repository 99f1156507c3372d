"""The facts and the parameters that an assessment reads, from the entries of a package or a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml

from affidavit.areas.catalog import Control
from affidavit.core import envelope
from affidavit.core.digest import of_bytes
from affidavit.core.envelope import Raw, Record
from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.core.findings import Period
from affidavit.core.ledger_facts import DrillRun, LedgerOpened
from affidavit.core.rules import rules_of
from affidavit.evidence import shape

ADOPTED = "access.rules_adopted"
Parameters = Mapping[str, Mapping[str, Any]]


@dataclass
class Adoptions:
    """Which text of rules was in force when, by the adoption entries."""

    adopted: list[tuple[datetime, str]] = field(default_factory=list)
    last: datetime | None = None

    def take(self, raw: Raw) -> None:
        """Take in the next entry."""
        self.last = raw.head.at
        if raw.head.tag == ADOPTED:
            self.adopted += [(raw.head.at, a.digest) for a in shape.attachments(raw.data.get("text"))]

    def digest_for(self, period: Period) -> str:
        """The rules an assessment of ``period`` uses: those at its end, or at the newest entry if that is earlier.

        Raises ``NotFound`` when none were adopted by then.
        """
        if self.last is None:
            raise NotFound("the log is empty.", next_step="nothing can be assessed.")
        moment = min(self.last, period.end) if period.start <= self.last else self.last
        found = [digest for at, digest in self.adopted if at <= moment]
        if not found:
            raise NotFound(f"no rules were in force at {moment}.", next_step="choose a later period.")
        return found[-1]


def parameters(text: bytes, digest: str, controls: Mapping[str, Control]) -> Parameters:
    """Parameters by control id as a text of rules sets them. Raises ``Invalid``, or ``Tampered`` for other bytes."""
    if of_bytes(text) != digest:
        raise Tampered(f"the rules are not those of {digest}.", next_step="restore the attachment.")
    try:
        body = yaml.safe_load(text.decode())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as e:
        raise Invalid(f"the rules are not YAML: {e}.", next_step="restore the attachment.") from None
    return rules_of(body, digest, defaults(controls)).parameters


def defaults(controls: Mapping[str, Control]) -> dict[str, dict[str, Any]]:
    """Default parameters by control id."""
    return {i: {k: v["default"] for k, v in c.body.get("parameters", {}).items()} for i, c in controls.items()}


def records(
    entries: Iterable[tuple[int, bytes]], controls: Iterable[Control], also: Callable[[Raw], None]
) -> Iterator[Record]:
    """The records that the checks of these controls read; ``also`` sees every entry."""
    classes = {DrillRun, LedgerOpened} | {c for control in controls for c in control.check.needs}
    wanted = {key for key, cls in envelope.known_facts().items() if cls in classes}
    for index, body in entries:
        raw = envelope.split(body)
        also(raw)
        if (raw.head.tag, raw.head.v) in wanted:
            yield envelope.decode(index, body)
