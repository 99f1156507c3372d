"""From inputs and outputs to the bytes of a row, fast: one ``struct`` for what is of fixed width, spelled texts for the rest.

The bytes are those of ``streams.rows.encode_row``; a test compares the two.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from itertools import groupby
from math import isnan
from operator import itemgetter
from typing import Any

from affidavit.client.columns import KEEP, NATIVE, NULL, convert, names_of, wrong
from affidavit.core.errors import Invalid
from affidavit.streams.kinds import DECISION_AFTER, DECISION_BEFORE
from affidavit.streams.rows import MAX_ROW, NAN, SALT_BYTES
from affidavit.streams.schema import TAG, WIDTH, Column, Schema

_CODES = {"bool": "?", "i64": "q", "f64": "d", "time": "q"}
_LENGTH = struct.Struct("<BI")
_NAN: float = struct.unpack("<d", NAN)[0]
_NO_TEXT = bytes(_LENGTH.size)
_NO_TEXTS = _NO_TEXT * len(DECISION_AFTER[1:])
_CONFIDENCE, _ADVERSE = DECISION_BEFORE[-2:]
HEAD = struct.Struct(f"<Q{SALT_BYTES}s33s16sBq94s")
"""What comes before the fixed inputs: row number, salt, schema digest and tag of the id, id, tag, time, and ``middle``."""
MIDDLE = struct.Struct("<B16sB32sB32s")
_CACHED, _SHORT = 4096, 64
"""Texts kept spelled, and the longest that is."""

Values = tuple[Any, ...]


def _getter(names: tuple[str, ...]) -> Callable[[Any], Values]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda given: tuple(given[n] for n in names)


class Encoder:
    """Reads the values of one schema. ``constants`` are deployment, version and configuration, as bytes."""

    def __init__(self, schema: Schema, constants: tuple[bytes, bytes, bytes], *, scalar: bool) -> None:
        self.schema, self.scalar = schema, scalar
        self.constant_values = dict(zip(("deployment", "version", "configuration"), constants, strict=True))
        inputs, outputs = schema.inputs, schema.outputs
        self._inputs, self._outputs = names_of(inputs), names_of(outputs)
        self._texts_in = sum(not c.fixed for c in inputs)
        self._texts_out = sum(not c.fixed for c in outputs)
        # Row order has fixed columns first; here texts come first, so that the fixed ones are one slice.
        self._get = _getter(self._texts_first(inputs))
        self._get_outputs = _getter(self._texts_first(outputs))
        texts = [c for c in (*inputs, *outputs) if not c.fixed]
        self.fixed = tuple(c for c in (*inputs, *outputs) if c.fixed)
        self._columns = (*texts, *self.fixed)
        self._spelled_columns = (*texts, DECISION_AFTER[0])
        self._native = tuple(NATIVE[c.type] for c in self._columns)
        self._plans: dict[tuple[type, ...], tuple[tuple[int, Any], ...]] = {self._native: ()}
        self._spelled: dict[Any, bytes] = {None: _NO_TEXT}
        self._constant = MIDDLE.pack(5, constants[0], 6, constants[1], 6, constants[2])
        self.plain = self._constant + bytes(11)
        """``middle`` of a row without confidence and adverse flag."""
        self._layout()

    @staticmethod
    def _texts_first(columns: tuple[Column, ...]) -> tuple[str, ...]:
        return names_of([c for c in columns if not c.fixed] + [c for c in columns if c.fixed])

    def _layout(self) -> None:
        """The struct of the fixed part, and where its tags stand."""
        codes, at, places = [], HEAD.size, []
        for column in self.fixed:
            codes.append("x" + _CODES[column.type])
            places.append((at, 1 + WIDTH[column.type], TAG[column.type]))
            at += 1 + WIDTH[column.type]
        self.struct = struct.Struct(HEAD.format + "".join(codes))
        self.tags: list[tuple[slice, bytes]] = []
        for stride, run in groupby(places, itemgetter(1)):
            found = list(run)
            self.tags.append((slice(found[0][0], found[-1][0] + 1, stride), bytes(tag for _, _, tag in found)))
        self._tag_places = tuple(at for at, _, _ in places)

    def read(self, inputs: Mapping[str, Any], output: Any) -> tuple[Values, Values, tuple[int, ...]]:
        """``(fixed values, text values, places of null tags)``. Raises ``Invalid`` naming the column and the value."""
        try:
            values = self._get(inputs)
            if self.scalar:
                outputs: Values = (output,)
            else:
                outputs = self._get_outputs(output)
        except (KeyError, TypeError):
            raise self._missing(inputs, output) from None
        if len(inputs) != len(self._inputs) or not (self.scalar or len(output) == len(self._outputs)):
            raise self._unseen(inputs, output)
        texts = self._texts_in
        if out := self._texts_out:
            values = values[:texts] + outputs[:out] + values[texts:] + outputs[out:]
            texts += out
        else:
            values += outputs
        types = tuple(map(type, values))
        nulls: tuple[int, ...] = ()
        if types != self._native:
            values, nulls = self._converted(values, types)
        fixed = values[texts:]
        try:
            total = sum(fixed)
        except OverflowError:
            raise self.out_of_range(fixed) from None
        if isnan(total):  # or infinities of both signs
            fixed = tuple(_NAN if isnan(v) else v for v in fixed)
        return fixed, values[:texts], nulls

    def _converted(self, given: Values, types: tuple[type, ...]) -> tuple[Values, tuple[int, ...]]:
        """Values made the types of their columns. Nulls of fixed width become 0, and their tags' places are told."""
        plan = self._plans.get(types)
        if plan is None:
            steps = [convert(c, t, v) for c, t, v in zip(self._columns, types, given, strict=True)]
            plan = tuple((n, step) for n, step in enumerate(steps) if step is not KEEP)
            if len(self._plans) >= 256:
                self._plans = {self._native: ()}
            self._plans[types] = plan
        values, nulls = list(given), []
        first = len(self._columns) - len(self.fixed)
        for n, step in plan:
            if step is NULL:
                if n >= first:
                    values[n] = 0
                    nulls.append(self._tag_places[n - first])
                continue
            try:
                values[n] = step(values[n])
            except (ValueError, OverflowError):
                raise wrong(self._columns[n], given[n]) from None
        return tuple(values), tuple(nulls)

    def texts(self, values: Values, caller: Any, after: Values | None) -> bytes:
        """Tag, length and bytes of each text column; ``after`` are subject, tenant, guard, sources, None for none of them.

        Raises ``Invalid``.
        """
        try:
            found = b"".join(map(self._spelled.__getitem__, (*values, caller)))
        except (KeyError, TypeError):
            found = b"".join(map(self._spell, self._spelled_columns, (*values, caller)))
        if after is None:
            return found + _NO_TEXTS
        return found + b"".join(map(self._spell, DECISION_AFTER[1:], after))

    def _spell(self, column: Column, value: Any) -> bytes:
        if type(value) is str:
            try:
                body = value.encode()
            except UnicodeEncodeError:
                raise wrong(column, value) from None
        elif type(value) is bytes and column.type == "bytes":
            body = value
        elif value is None:
            return _NO_TEXT
        else:
            raise wrong(column, value)
        if len(body) > MAX_ROW:
            raise too_long(len(body))
        spelled = _LENGTH.pack(TAG[column.type], len(body)) + body
        if len(body) <= _SHORT and column.name not in ("subject", "sources"):
            if len(self._spelled) >= _CACHED:
                self._spelled = {None: _NO_TEXT}
            self._spelled[value] = spelled
        return spelled

    def middle(self, confidence: Any, adverse: Any) -> bytes:
        """Deployment, version, configuration, confidence and adverse flag of a row. Raises ``Invalid``."""
        return self._constant + _one(_CONFIDENCE, confidence) + _one(_ADVERSE, adverse)

    def out_of_range(self, fixed: Values) -> Invalid:
        """The error for values that ``struct`` would not take."""
        for column, value in zip(self.fixed, fixed, strict=True):
            if column.type in ("i64", "time") and not -(2**63) <= value < 2**63:
                return wrong(column, value)
        return Invalid("a time is out of range.", next_step="give milliseconds since 1970 below 2**63.")

    def _missing(self, inputs: Any, output: Any) -> Invalid:
        for what, given, names in (("input", inputs, self._inputs), ("output", output, self._outputs)):
            if what == "output" and self.scalar:
                continue
            if not hasattr(given, "keys"):
                return Invalid(
                    f"the {what}s {str(given)[:40]!r} are no mapping.", next_step=f"give a dict by {what} name."
                )
            if gone := [n for n in names if n not in given]:
                return Invalid(f"the {what} {gone[0]!r} is missing.", next_step="give None for a missing value.")
        return Invalid("inputs and outputs cannot be read.", next_step="give dicts by name.")

    def _unseen(self, inputs: Any, output: Any) -> Invalid:
        given = [("input", k, v) for k, v in inputs.items() if k not in self._inputs]
        if not self.scalar:
            given += [("output", k, v) for k, v in output.items() if k not in self._outputs]
        what, name, value = given[0]
        return Invalid(f"the {what} {name!r} = {str(value)[:40]!r} is no column of this recorder.",
                       next_step="leave it out, or open a recorder whose schema has it.")  # fmt: skip


def _one(column: Column, value: Any) -> bytes:
    step = convert(column, type(value), value)
    if step is NULL:
        return bytes(1 + WIDTH[column.type])
    try:
        made = step(value)
    except (ValueError, OverflowError):
        raise wrong(column, value) from None
    return struct.pack(f"<B{_CODES[column.type]}", TAG[column.type], _NAN if isnan(made) else made)


def too_long(length: int) -> Invalid:
    """The error for a row of too many bytes."""
    return Invalid(f"a row of {length} bytes; at most {MAX_ROW}.", next_step="record a digest of long texts.")
