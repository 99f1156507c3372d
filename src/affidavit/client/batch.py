"""Recording an Arrow table: one frame for up to 65,536 rows. Imported with the first batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from affidavit.client import columns
from affidavit.client.decisions import DecisionWriter
from affidavit.core.errors import Invalid
from affidavit.streams import capturing, kinds
from affidavit.streams.schema import Schema
from affidavit.streams.writer import Unwritten

if TYPE_CHECKING:
    from affidavit.client.recorder import Recorder

_FIELDS = ("confidence", "adverse", "caller", "subject", "tenant", "guard", "sources")


def record_batch(
    recorder: Recorder, table: Any, output_columns: str | Sequence[str] | Mapping[str, str], *, ids: str | None = None,
    at: str | None = None, groups: Sequence[str] = (), fields: Mapping[str, str] | None = None, caller: str | None = None,
    tenant: str | None = None,
) -> Any:  # fmt: skip
    """See ``Recorder.record_batch``."""
    fields = dict(fields or {})
    if unknown := set(fields) - set(_FIELDS):
        raise Invalid(f"a decision has no column {min(unknown)!r}.", next_step=f"columns: {', '.join(_FIELDS)}.")
    scalar, outputs = isinstance(output_columns, str), _outputs(output_columns)
    beside = {**fields, **({"at": at} if at else {}), **({"id": ids} if ids else {})}
    named = [*outputs.values(), *groups, *beside.values()]
    if gone := [n for n in named if n not in table.column_names]:
        raise Invalid(f"the table has no column {gone[0]!r}.", next_step=f"it has {', '.join(table.column_names)}.")
    inputs = {columns.input_name(n): n for n in table.column_names if n not in named}
    shape = recorder.shape(
        lambda: capturing.columns_of(table, inputs), lambda: capturing.columns_of(table, outputs), scalar=scalar
    )
    schema = kinds.decisions(*shape[:2])
    _check_columns(schema, {**inputs, **outputs})
    typed = capturing.typed(schema, table, {**inputs, **outputs, **beside})
    grouped = _Groups(table, groups) if groups else None
    writer = recorder.opened(shape)
    constants: dict[str, Any] = {"caller": caller, "tenant": tenant, **writer.encoder.constant_values}
    constants = {k: v for k, v in constants.items() if v is not None}
    found = [
        _record_part(recorder, writer, typed.slice(first, n), grouped and grouped.part(first, n), constants)
        for first, n in capturing.parts_of(typed)
    ]
    return capturing.joined(found)


def _outputs(given: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """The table's column of each output column."""
    if isinstance(given, str):
        return {"out": given}
    named = given if isinstance(given, Mapping) else {n: n for n in given}
    return {columns.output_name(n): c for n, c in named.items()}


def _check_columns(schema: Schema, source: Mapping[str, str]) -> None:
    wanted = {c.name for c in (*schema.inputs, *schema.outputs)}
    if wanted != set(source):
        name = min(wanted ^ set(source))
        says = "is missing" if name in wanted else "is no column of this recorder"
        raise Invalid(f"the table's columns do not fit: {name!r} {says}.", next_step="give those it was opened with.")


class _Groups:
    """The protected attributes of a table as rows of their own stream."""

    def __init__(self, table: Any, names: Sequence[str]) -> None:
        self.schema = kinds.groups_waiting(names)
        self.table = capturing.typed(self.schema, table, {f"g.{n}": n for n in names})

    def part(self, first: int, count: int) -> _Groups:
        made = object.__new__(_Groups)
        made.schema, made.table = self.schema, self.table.slice(first, count)
        return made


def _record_part(recorder: Recorder, writer: DecisionWriter, part: Any, grouped: _Groups | None,
                 constants: Mapping[str, Any]) -> Any:  # fmt: skip
    """One frame of decisions, and what stands beside them; the ids, null where the policy let the rows go unrecorded."""
    n = part.num_rows
    given = capturing.ids_of(part) if "id" in part.column_names else None
    made: list[Any] = []

    def body_of(ms: int, first: int) -> Any:
        made.append(capturing.minted(n, ms, first) if given is None else given)
        return capturing.frame_body(writer.schema, part, made[0], {"at": recorder.now_ms(), **constants})

    try:
        writer.put_many(n, body_of, () if given is None else given.to_pylist())
    except Unwritten as e:
        if recorder.policy.on_full == "refuse":
            raise
        recorder.count_missed(n, e.why)
        return capturing.no_ids(n)
    identity = made[0]
    if grouped is not None:
        body = capturing.frame_body(grouped.schema, grouped.table, identity, {})
        schema = grouped.schema
        recorder.beside("groups", identity[0].as_py(), lambda: recorder.late.writer(schema).append_batch(n, body), n)
    if recorder.explains:
        _explain(recorder, writer.schema, part, identity.to_pylist())
    return identity


def _explain(recorder: Recorder, schema: Schema, part: Any, identity: list[bytes]) -> None:
    """Explanations of the rows that the policy chooses."""
    adverse = part.column("adverse").to_pylist() if "adverse" in part.column_names else [None] * len(identity)
    inputs, names = part.select([c.name for c in schema.inputs]), columns.names_of(schema.inputs)
    for index, body in enumerate(identity):
        if recorder.chooses(body, adverse=adverse[index]):
            row = inputs.slice(index, 1).to_pylist()[0]
            recorder.explain(dict(zip(names, row.values(), strict=True)), body)
