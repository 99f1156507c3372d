"""A serving house with late facts about its decisions, and eyes for what its stores hold."""

from __future__ import annotations

import os
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from serving_house import ServingHouse

from affidavit.areas.decisions.erasure.scanning import present
from affidavit.bootstrap import memory_entries, open_for_inspection
from affidavit.service.desk import ServiceDesk
from affidavit.service.inspection import Inspection, inspect
from affidavit.streams import kinds
from affidavit.streams.ids import id_bytes
from affidavit.streams.writer import StreamWriter

MARK = "the-mark-of-one-person"


class ErasureHouse(ServingHouse):
    """``marked`` is a decision whose every text is MARK; ``do`` calls a verb as a person."""

    def desk(self, name: str = "privacy") -> ServiceDesk:
        """The desk of a person."""
        return ServiceDesk(self.ws.executor, self.who[name], local=True)

    def do(self, verb: str, *args: Any, by: str = "privacy", **fields: Any) -> Any:
        """Call a verb of decisions as a person."""
        return getattr(self.ws.decisions, verb)(*args, by=self.who[by], **fields)

    def erase(self, *ids: str, **fields: Any) -> Any:
        """Erase decisions at a person's request."""
        return self.do("erase", "request", "the person asked for it", list(ids), **fields)

    def decide(self, n: int, *, marked: int = 7, writer: StreamWriter | None = None, close: bool = True) -> list[str]:
        """Record n decisions in one stream; number ``marked`` bears the mark."""
        writer = writer or self.writer()
        before = self.record(marked, close=False, writer=writer)
        mark = self.record(1, close=False, writer=writer, **{"in.s": MARK}, subject=MARK, caller=MARK)
        after = self.record(n - marked - 1, close=close, writer=writer)
        return [*before, *mark, *after]

    def speak(self, decision: str) -> None:
        """An outcome, an explanation, an action and an access about a decision."""
        desk, at = self.desk(), int(self.clock.now().timestamp() * 1000)
        about = {"decision": id_bytes(decision), "at": at}
        desk.row("outcomes", **about, observed_at=at, label=MARK)
        desk.row("explanations", **about, method="tree", explainer="exact/1", features=f'["{MARK}"]', attributions=b"")
        desk.row("actions", id=os.urandom(16), **about, action="released", actor=MARK)
        desk.row("reads", at=at, rows=1, actor=MARK, verb="trace", about=decision)

    def attribute(self, *decisions: str, close: bool = True) -> StreamWriter:
        """Protected attributes of decisions, one row each."""
        passport = self.passport()
        writer = StreamWriter(
            self.ws.stores.spool, kinds.groups_waiting(("sex",)), self.ws.stores.origin, deployment=passport.deployment,
            model="employment", number=1, env="production", artifact=passport.artifact,
        )  # fmt: skip
        for decision in decisions:
            writer.append([id_bytes(decision), MARK])
        if close:
            writer.close()
        return writer

    @property
    def root(self) -> Path:
        """The folder of the workspace."""
        return self.folder / "ws"

    def files(self) -> dict[str, Path]:
        """Stored segment files and tiles by digest."""
        return {d: self.root / "segments" / "sha256" / d[7:9] / d[9:] for d in self.ws.stores.segments.list()}

    def leaves(self) -> set[bytes]:
        """The leaves of every row that is stored with salt and payload."""
        return {
            leaf
            for f in self.files().values()
            if f.read_bytes()[:4] == b"PAR1"
            for leaf in present(BytesIO(f.read_bytes()))
        }

    def inspect(self) -> Inspection:
        """What ``affidavit verify`` finds."""
        self.ws.publish()
        return inspect(open_for_inspection(self.root), memory_entries())

    def past(self, days: int) -> None:
        """Let days go by."""
        self.clock.advance(timedelta(days=days))
