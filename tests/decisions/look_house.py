"""A serving house with decisions of every sort, and what looks at them."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from serving_house import ServingHouse, rules

from affidavit.core import canonical
from affidavit.core import digest as digests
from affidavit.service.desk import ServiceDesk
from affidavit.streams.ids import id_bytes

READINGS = b"t,celsius\n0,21.5\n1,21.7\n"
OTHER = "sha256:" + "1" * 64


class LookHouse(ServingHouse):
    """Production takes one approval. ``desk(name)`` is the desk of a person."""

    def __init__(self, folder: Any, clock: Any) -> None:
        import yaml

        transitions = yaml.safe_load(rules())["transitions"]
        transitions["production"]["approvals"] = {"n": 1, "roles": ["approver"], "expires": "P14D"}
        super().__init__(folder, clock, rule_changes={"transitions": transitions})

    def deploy(self, version: str) -> str:
        r = self.ws.registry
        r.promote(version, to="staging", by=self.who["operator"])
        request = r.request(version, to="production", by=self.who["operator"]).facts[0].request
        r.approve(request, by=self.who["approver"])
        return r.promote(version, to="production", by=self.who["operator"]).facts[0].deployment

    def desk(self, name: str = "engineer") -> ServiceDesk:
        return ServiceDesk(self.ws.executor, self.who[name], local=True)

    def do(self, verb: str, *args: Any, by: str = "engineer", **fields: Any) -> Any:
        return getattr(self.ws.decisions, verb)(*args, by=self.who[by], **fields)

    def windows(self, *windows: dict[str, Any]) -> str:
        """The text of the column ``sources``."""
        return canonical.encode(list(windows)).decode()

    def keep(self, body: bytes) -> str:
        """Store an object; its digest."""
        self.ws.stores.objects.put(BytesIO(body))
        return digests.of_bytes(body)

    def late(self, decision: str) -> None:
        """An outcome, an explanation and an action about a decision."""
        desk, at = self.desk(), int(self.clock.now().timestamp() * 1000)
        about = {"decision": id_bytes(decision), "at": at}
        desk.row("outcomes", **about, observed_at=at, label="hired", source="hr")
        desk.row(
            "explanations",
            **about,
            method="tree",
            features='["a","b"]',
            attributions=struct.pack("<2d", 0.5, float("nan")),
        )
        desk.row("actions", **about, id=id_bytes(decision), action="overridden", actor=desk.who.principal, outcome="0")

    @property
    def vkey(self) -> str:
        return (self.folder / "ws" / "log.vkey").read_text().strip()

    def segment_file(self, digest: str) -> Any:
        return self.folder / "ws" / "segments" / "sha256" / digest[7:9] / digest[9:]
