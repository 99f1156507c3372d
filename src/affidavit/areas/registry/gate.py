"""The gate as a rule sees it: lines, waivers, digest, and the words of a refusal. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from affidavit.areas.registry import lookup
from affidavit.areas.registry.events import GateLine
from affidavit.core import canonical
from affidavit.core import digest as digests
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.errors import Refused
from affidavit.core.fields import time_text
from affidavit.core.findings import Outcome, not_tested

ACTS = {
    "AI-01.3": "an engineer evaluates it (affidavit registry evaluate) or brings a version that passes",
    "AI-01.4": "its author registers it from a recorded run (affidavit registry register)",
    "AI-02.1": "the data owner completes the record (affidavit lineage)",
    "AI-04.2": "an engineer assesses it by group (affidavit fairness assess) or brings a version that passes",
    "AI-08.3": "an engineer measures its explainer (affidavit decisions measure-explainer) under an approved plan",
}
WAIVE = "a waiver (affidavit registry request-waiver), approved by another person"
_NOT_RUN = not_tested("the gate did not run")


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate on one candidate: its lines, why each stands as it does, and their digest."""

    to: str
    lines: tuple[GateLine, ...]
    reasons: dict[tuple[str, str], str]
    digest: str

    @property
    def failing(self) -> list[GateLine]:
        """Lines that stand in the way: deviations and what was not tested, unless waived."""
        return [line for line in self.lines if line.outcome in ("deviation", "not_tested")]

    def told(self, line: GateLine) -> str:
        """Control, attribute and reason in one piece."""
        reason = self.reasons.get((line.control, line.attribute)) or line.outcome.replace("_", " ")
        return f"{line.control} {line.attribute}: {reason}"

    def acts(self) -> str:
        """Who must do what about the failing lines."""
        steps = list(dict.fromkeys(act(line.control) for line in self.failing))
        return "; ".join([*steps, f"or {WAIVE}"])

    def demand(self) -> None:
        """Raise ``Refused`` unless every line stands."""
        if self.failing:
            raise Refused(
                "gate_failed", f"the gate into {self.to} refuses it: {'; '.join(self.told(x) for x in self.failing)}.",
                next_step=self.acts() + ".", controls=tuple(dict.fromkeys(x.control for x in self.failing)),
            )  # fmt: skip


def act(control: str) -> str:
    """Who can mend a line of this control, and how."""
    return ACTS.get(control, f"the owner of {control} mends it")


def gate_of(state: ViewTx, ctx: Ctx, version: lookup.Version, to: str) -> Gate:
    """The outcomes the service found, with waivers applied.

    The digest binds artifact, environment, rules, every line with the entries it rests on, and the waivers: a new
    evaluation, assessment, plan, split or waiver needs a new approval.
    """
    waived = {
        (w.control, w.attribute): w.id
        for w in lookup.waivers_in_force(state, version, time_text(ctx.now))
        if w.measured == measured_entry(state, ctx, version, w.control)
    }
    lines, reasons, bound = [], {}, []
    for control, attributes in sorted(ctx.rules.transition(to).checks.items()):
        found = ctx.gate.get(control, {})
        for attribute in attributes:
            outcome = found.get(attribute, _NOT_RUN)
            line = _line(control, attribute, outcome, waived=(control, attribute) in waived)
            lines.append(line)
            reasons[(control, attribute)] = outcome.reason
            waiver = waived[(control, attribute)] if line.outcome == "waived" else ""
            bound.append([control, attribute, line.outcome, sorted(set(outcome.entries)), waiver])
    body = {
        "artifact": version.artifact,
        "to": to,
        "rules": ctx.rules.digest,
        "lines": bound,
    }
    return Gate(to, tuple(lines), reasons, digests.of_bytes(canonical.encode(body)))


def measured_entry(state: ViewTx, ctx: Ctx, version: lookup.Version, control: str) -> int | None:
    """The entry of the newest measurement that a control judges a version by: what a waiver of it accepts."""
    if control == "AI-01.3":
        newest = lookup.latest_evaluation(state, version)
        return newest.entry if newest else None
    if control == "AI-04.2":
        found = ctx.ask("fairness.latest", version.model, version.number)
        return int(found["entry"]) if found else None
    if control == "AI-08.3":
        found = ctx.ask("decisions.explainer_of", version.model, version.number)
        return int(found["entry"]) if found else None
    return None


def _line(control: str, attribute: str, outcome: Outcome, *, waived: bool) -> GateLine:
    if waived and outcome.state in ("deviation", "not_tested"):
        return GateLine(control, attribute, "waived")
    return GateLine(control, attribute, outcome.state)


def vouching(state: ViewTx, ctx: Ctx, request: str, gate: Gate) -> set[str]:
    """Who approved the request for this very gate result, not too long ago, and still holds an approving role."""
    roles, now = set(ctx.rules.transition(gate.to).approvals.roles), time_text(ctx.now)
    given = {
        a.principal for a in lookup.approvals_of(state, request) if a.gate_digest == gate.digest and a.expires > now
    }
    return {p for p in given if roles & set(ctx.ask("access.roles_of", p, gate.to))}
