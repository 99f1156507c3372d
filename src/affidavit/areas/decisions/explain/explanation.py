"""Explaining one decision: its row, its version in the sandbox, the stored explanation computed again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from affidavit import sandbox
from affidavit.areas.decisions import sealed_rows
from affidavit.areas.decisions.explain import commands as c
from affidavit.areas.decisions.explain.rules import CONTROLS
from affidavit.areas.decisions.look.finding import seen
from affidavit.areas.decisions.look.later import late_rows
from affidavit.areas.decisions.sealed_rows import Row
from affidavit.core import canonical
from affidavit.core.area import Desk
from affidavit.core.digest import read_verified
from affidavit.core.errors import NotFound, Refused, Tampered
from affidavit.streams.attributions import TOLERANCE, read_background
from affidavit.streams.ids import id_bytes
from affidavit.streams.passport import digest_of

SLACK = timedelta(days=1)
"""How far the clock of an explanation may lie behind the decision's."""


@dataclass(frozen=True, slots=True)
class Version:
    """The version that decided: what the deployment of the row ran."""

    model: str
    number: int
    artifact: str

    @property
    def name(self) -> str:
        """``employment/3``."""
        return f"{self.model}/{self.number}"


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision explained: features with values and attributions in the model's order, and what they can be computed from.

    ``stored`` holds the entry and ``difference`` of the explanation kept at capture, None if there is none.
    """

    decision: str
    row: Row
    version: Version
    features: tuple[str, ...]
    attributions: tuple[float, ...]
    base: float
    margin: float
    method: str
    explainer: str
    additive: bool
    background: str | None
    seed: int
    stored: dict[str, Any] | None

    def value(self, feature: str) -> Any:
        """The recorded input of a feature; LightGBM writes blanks in names as ``_``."""
        found = self.row.values
        return next(
            (v for k, v in found.items() if k == f"in.{feature}" or k.replace(" ", "_") == f"in.{feature}"), None
        )

    @property
    def digest(self) -> str:
        """The digest of the explanation: decision, version, features, attributions and what they rest on."""
        return digest_of(
            {
                "decision": self.decision, "artifact": self.version.artifact, "features": list(self.features),
                "attributions": [v.hex() for v in self.attributions], "base": self.base.hex(), "margin": self.margin.hex(),
                "explainer": self.explainer, "background": self.background, "seed": self.seed,
            }
        )  # fmt: skip

    def answer(self) -> dict[str, Any]:
        """As JSON, the largest first."""
        order = sorted(range(len(self.features)), key=lambda i: -abs(self.attributions[i]))
        lines = [
            {
                "feature": self.features[i], "value": self.value(self.features[i]), "attribution": self.attributions[i],
                "direction": "raises" if self.attributions[i] > 0 else "lowers" if self.attributions[i] < 0 else "none",
            }
            for i in order
        ]  # fmt: skip
        return {
            "decision": self.decision, "model": self.version.model, "number": self.version.number,
            "artifact": self.version.artifact, "features": lines, "base": self.base, "margin": self.margin,
            "additive": self.additive, "method": self.method, "explainer": self.explainer, "background": self.background,
            "seed": self.seed, "stored": self.stored, "digest": self.digest,
        }  # fmt: skip


def explain(request: c.Explain, desk: Desk) -> dict[str, Any]:
    """The explanation as JSON. One that was not stored at capture is kept now, as a row of the explanations stream."""
    return explained(desk, request.decision, "explain").answer()


def explained(desk: Desk, decision: str, verb: str) -> Explained:
    """A decision explained by the version that made it; the access is kept.

    Raises ``Refused`` for an erased one, ``Tampered`` where a stored explanation is not what the same version,
    background and seed give.
    """
    row = seen(desk, decision, verb)
    version = version_of(desk, row)
    if row.row is None:
        raise Refused(
            "erased", f"decision {decision} is erased: nothing is left to explain.",
            next_step="answer the person that the data was erased, by which order and when.", controls=CONTROLS,
        )  # fmt: skip
    kept = stored_of(desk, decision, row)
    background, seed = basis(desk, version, kept)
    found = compute(desk, version.artifact, {k: [v] for k, v in inputs_of(row).items()}, 1, background, seed)
    if not found["additive"]:
        raise Tampered(
            f"decision {decision}: the attributions do not sum to the margin (gap {found['gap']:.3g}).",
            next_step="report this: the explainer does not fit the model.",
        )
    stored = _compared(decision, kept, found) if kept else None
    made = Explained(
        decision, row, version, tuple(found["features"]), tuple(found["values"][0].tolist()), float(found["base"][0]),
        float(found["margin"][0]), found["method"], found["explainer"], found["additive"], background, seed, stored,
    )  # fmt: skip
    if kept is None:
        _keep(desk, made)
    return made


def version_of(desk: Desk, row: Row) -> Version:
    """The version of a row's deployment; its artifact is the one the row names. Raises ``NotFound``, ``Tampered``."""
    deployment = desk.ask("registry.deployment", row.placed.header.deployment)
    if deployment is None:
        raise NotFound(
            f"segment {row.placed.header.id} names no known deployment.", next_step="reconcile what serves: AI-01.1."
        )
    said = row.values.get("version")
    if said is not None and said.hex() != deployment["artifact"].removeprefix("sha256:"):
        raise Tampered(
            f"the row says sha256:{said.hex()}; deployment {deployment['id']} is of {deployment['artifact']}.",
            next_step="find out what served: the record and the register disagree.",
        )
    return Version(deployment["model"], deployment["number"], deployment["artifact"])


def inputs_of(row: Row) -> dict[str, Any]:
    """Recorded inputs by the names the model knows."""
    return {k.removeprefix("in."): v for k, v in row.values.items() if k.startswith("in.")}


def stored_of(desk: Desk, decision: str, row: Row) -> Row | None:
    """The first sealed explanation of a decision, verified; None if there is none."""
    start = datetime.fromtimestamp(row.values["at"] / 1000, UTC) - SLACK
    for where in sealed_rows.segments_between(desk, "explanations", start):
        for found in late_rows(desk, where, decision):
            if found.row is not None:
                return found
    return None


def basis(desk: Desk, version: Version, kept: Row | None) -> tuple[str | None, int]:
    """(background digest, seed) that an explanation rests on: those of the stored one, else of the measured explainer."""
    if kept is not None:
        background = kept.values["background"]
        return ("sha256:" + background.hex() if background else None), int(kept.values["seed"] or 0)
    measured = desk.ask("decisions.explainer_of", version.model, version.number)
    return (measured["background"], measured["seed"]) if measured else (None, 0)


def compute(desk: Desk, artifact: str, columns: dict[str, Any], rows: int, background: str | None, seed: int) -> Any:
    """Attributions by the exact artifact, in the sandbox: what ``tasks.explain`` answers. ``columns`` hold ``rows`` values each."""
    ground = None
    if background is not None:
        try:
            with desk.open(background) as source:
                names, body = read_background(read_verified(source, background, "the background set"))
        except NotFound:
            raise NotFound(
                f"the background set {background} of the explanation is gone.", next_step="restore it from a backup."
            ) from None
        ground = {"features": list(names), "rows": body}
    payload = {"rows": rows, "columns": columns, "background": ground, "seed": seed}
    return sandbox.run(desk, artifact, "explain", payload).result


def difference(
    kept: Row, values: Any, base: float, margin: float, features: list[str], explainer: str, dtype: str
) -> tuple[float, str]:
    """(largest gap of stored and computed, what disagrees: empty if they agree within the tolerance of the precision)."""
    import numpy as np

    if kept.values["explainer"] != explainer:
        return float("inf"), f"it was made by {kept.values['explainer']}; here is {explainer}"
    if canonical.parse_plain((kept.values["features"] or "[]").encode()) != features:
        return float("inf"), "it is of other features"
    stored = np.frombuffer(kept.values["attributions"] or b"", "<f8")
    if len(stored) != len(features):
        return float("inf"), "its attributions are cut"
    gaps = np.abs(np.append(stored, (kept.values["base"], kept.values["margin"])) - np.append(values, (base, margin)))
    worst = int(gaps.argmax()) if not np.isnan(gaps).any() else int(np.isnan(gaps).argmax())
    bound = TOLERANCE[dtype] * (max(1.0, abs(margin)) if dtype == "float32" else 1.0)
    if gaps[worst] <= bound:
        return float(gaps[worst]), ""
    return float(
        gaps[worst]
    ), f"{[*features, 'base', 'margin'][worst]} differs by {gaps[worst]:.3g}, beyond {bound:.3g}"


def _compared(decision: str, kept: Row, found: dict[str, Any]) -> dict[str, Any]:
    gap, problem = difference(
        kept, found["values"][0], float(found["base"][0]), float(found["margin"][0]), found["features"], found["explainer"],
        found["dtype"],
    )  # fmt: skip
    if problem:
        raise Tampered(
            f"decision {decision}: its stored explanation is not computed again: {problem}.",
            next_step="recheck the version: affidavit decisions recheck-explanations; use the library that is named.",
        )
    return {"entry": kept.placed.record.index, "segment": kept.placed.header.id, "row": kept.index, "difference": gap}


def _keep(desk: Desk, made: Explained) -> None:
    import numpy as np

    at, background = int(desk.now.timestamp() * 1000), made.background
    desk.row(
        "explanations", decision=id_bytes(made.decision), at=at, version=bytes.fromhex(made.version.artifact[7:]),
        background=bytes.fromhex(background[7:]) if background else None, seed=made.seed, base=made.base, margin=made.margin,
        additive=made.additive, method=made.method, explainer=made.explainer,
        features=canonical.encode(list(made.features)).decode(), attributions=np.array(made.attributions, "<f8").tobytes(),
    )  # fmt: skip
