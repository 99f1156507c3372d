"""A workspace with a sealer and no model: what sealing needs, and what of it is in the ledger afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spooled import Recording

from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.events import BatchSealed
from affidavit.core import canonical
from affidavit.core.area import Who
from affidavit.core.digest import read_verified
from affidavit.core.envelope import decode
from affidavit.service.desk import ServiceDesk
from affidavit.streams.segment import root_of


class SealedWorld:
    """``seal()`` runs one measure; ``sealed()`` reads back every segment, proven to its header's root."""

    def __init__(self, made: Any) -> None:
        self.ws, self.admin = made.workspace, made.admin
        person = self.ws.access.register_principal("service", name="sealer", by=self.admin).facts[0].principal
        self.sealer = Who(person, "os-user")
        for role, env in (("service", "*"),):
            grant = self.ws.access.request_grant(person, role, env, "seals", by=self.sealer).facts[0].grant
            self.ws.access.approve_grant(grant, by=self.admin)
        self.spool: Path = self.ws.stores.spool

    @property
    def desk(self) -> ServiceDesk:
        """A desk of the administrator."""
        return ServiceDesk(self.ws.executor, self.admin, local=True)

    def recording(self, **given: Any) -> Recording:
        """A stream of this workspace, written by hand."""
        return Recording(self.spool, given.pop("origin", self.ws.stores.origin), **given)

    def seal(self, **given: Any) -> Any:
        """One call; its outcome."""
        return self.ws.decisions.seal(by=self.sealer, **given)

    def seal_all(self) -> dict[str, Any]:
        """Until nothing is left; the last result."""
        while (result := self.seal().result)["more"]:
            pass
        return result

    def facts(self, *kinds: type) -> list[Any]:
        """Facts of the ledger, of some kinds or all."""
        entries = self.ws.stores.entries
        found = [decode(i, b).fact for i, b in enumerate(entries.entries(0, entries.size()))]
        return [f for f in found if not kinds or isinstance(f, kinds)]

    def sealed(self, kind: str = "decisions") -> Iterator[tuple[Any, Any]]:
        """``(header, table)`` of each segment; leaves proven to hash to the header's root."""
        for where in sealed_rows.segments_between(self.desk, kind):
            segment = sealed_rows.opened(self.desk, where)
            assert "sha256:" + root_of(segment.leaves()).hex() == where.header.root
            yield where.header, segment.table()

    def ids(self) -> list[bytes]:
        """Every sealed decision id, in the order of seals."""
        return [i for _, table in self.sealed() for i in table.column("id").to_pylist()]

    def aggregates(self) -> list[Any]:
        """What the kernels said, batch by batch."""
        found = []
        for fact in self.facts(BatchSealed):
            if fact.aggregates:
                with self.ws.stores.objects.open(fact.aggregates.digest) as source:
                    found.append(canonical.decode(read_verified(source, fact.aggregates.digest, "aggregates")))
        return found
