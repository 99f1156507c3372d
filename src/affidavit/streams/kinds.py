"""The schemas of the streams whose columns do not depend on a model. [bytes]

Late facts (labels, explanations, human actions) name the decision they are about by its id. A groups row names it by
a keyed hash alone, and bears no time: it cannot be joined by position or moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from affidavit.core.errors import Invalid
from affidavit.streams.schema import Column, Schema

DECISION_BEFORE = (
    Column("id", "id"), Column("at", "time"), Column("deployment", "id"), Column("version", "digest"),
    Column("configuration", "digest"), Column("confidence", "f64"), Column("adverse", "bool"),
)  # fmt: skip
"""What a decision has before its inputs: its id, when, the deployment, the digests of artifact and configuration."""

DECISION_AFTER = (
    Column("caller", "str"), Column("subject", "str"), Column("tenant", "str"), Column("guard", "str"), Column("sources", "str"),
)  # fmt: skip
"""Who asked, the subject's pseudonym, the tenant, the guard's verdict, the windows of raw readings (canonical JSON)."""


def decisions(inputs: Iterable[Column], outputs: Iterable[Column]) -> Schema:
    """The schema of a model's decisions; ``inputs`` begin ``in.``, ``outputs`` are ``out`` or ``out.NAME``."""
    return Schema.of("decisions", (*DECISION_BEFORE, *inputs, *outputs, *DECISION_AFTER))


def groups(names: Iterable[str]) -> Schema:
    """Protected attributes: a keyed hash of the decision id, and one text column per attribute."""
    return Schema.of("groups", (Column("key", "digest"), *(Column(f"g.{n}", "str") for n in sorted(names))))


def groups_waiting(names: Iterable[str]) -> Schema:
    """Protected attributes in the spool, before the sealer replaces the decision id by its keyed hash."""
    return Schema.of("groups", (Column("decision", "id"), *(Column(f"g.{n}", "str") for n in sorted(names))))


OUTCOMES = Schema.of("outcomes", (
    Column("decision", "id"), Column("at", "time"), Column("observed_at", "time"), Column("value", "f64"),
    Column("label", "str"), Column("source", "str"),
))  # fmt: skip
"""What turned out: a number or a label, when it was observed in the world and when it came in."""

EXPLANATIONS = Schema.of("explanations", (
    Column("decision", "id"), Column("at", "time"), Column("version", "digest"), Column("background", "digest"),
    Column("seed", "i64"), Column("base", "f64"), Column("margin", "f64"), Column("additive", "bool"),
    Column("method", "str"), Column("explainer", "str"), Column("features", "str"), Column("attributions", "bytes"),
))  # fmt: skip
"""Attributions (binary64, little-endian) per feature (canonical JSON list of names), and what they can be recomputed from."""

ACTIONS = Schema.of("actions", (
    Column("id", "id"), Column("decision", "id"), Column("at", "time"), Column("opened_at", "time"),
    Column("effect_at", "time"), Column("spent_ms", "i64"), Column("action", "str"), Column("actor", "str"),
    Column("role", "str"), Column("outcome", "str"), Column("reason", "str"),
))  # fmt: skip
"""What a person did about a decision: held, released, overridden, contested, opted-out, reopened."""

READS = Schema.of("reads", (
    Column("at", "time"), Column("rows", "i64"), Column("actor", "str"), Column("verb", "str"), Column("about", "str"),
    Column("tenant", "str"),
))  # fmt: skip
"""Who looked at which decisions: one id, or the digest of a filter, and how many rows came back."""

HEARTBEATS = Schema.of("heartbeats", (
    Column("at", "time"), Column("stream", "id"), Column("deployment", "id"), Column("version", "digest"),
    Column("configuration", "digest"), Column("served", "i64"), Column("recorded", "i64"), Column("missed", "i64"),
))  # fmt: skip
"""What a serving process says it runs, and its own counts: self-reported."""

FIXED: dict[str, Schema] = {
    "outcomes": OUTCOMES, "explanations": EXPLANATIONS, "actions": ACTIONS, "reads": READS, "heartbeats": HEARTBEATS,
}  # fmt: skip


def check_spooled(schema: Schema) -> None:
    """Raise ``Invalid`` unless a stream of the spool may have this schema: the fixed columns of its kind are there."""
    if schema.kind in FIXED:
        good = schema == FIXED[schema.kind]
    elif schema.kind == "groups":
        names = [n.removeprefix("g.") for n in schema.names if n.startswith("g.")]
        good = bool(names) and schema == groups_waiting(names)
    else:
        own = set(schema.columns) - {*DECISION_BEFORE, *DECISION_AFTER}
        good = {*DECISION_BEFORE, *DECISION_AFTER} <= set(schema.columns) and all(
            c.name.startswith("in.") or c.name == "out" or c.name.startswith("out.") for c in own
        )
    if not good:
        raise Invalid(f"the columns are not those of {schema.kind}.", next_step="record with a release that fits.")
