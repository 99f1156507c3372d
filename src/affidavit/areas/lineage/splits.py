"""The arithmetic of splits: who belongs to which part, and how far two parts overlap.

Two rows are **equal** when their identity is: the values of the identity columns, or the row number (``_row``), or,
when nothing is named, all columns but the split's own. Two rows are **near** when their other columns agree after
rounding (numbers to three significant digits, text to its sorted lower-case words) and they are not equal. Different
people can have equal features: that is counted as near, never as equal.

Arrays in, counts out; numpy and pyarrow are imported inside the functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any, get_args

from affidavit.areas.lineage.events import Overlap, Role
from affidavit.areas.lineage.rowset import encoded_rows
from affidavit.core.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROLES: tuple[str, ...] = get_args(Role)
ROW_NUMBER = "_row"
_NEXT = f"name the parts {', '.join(ROLES)}."


def by_column(table: Any, name: str) -> dict[str, NDArray[Any]]:
    """Row numbers per part from a column that holds the parts' names. Raises ``Invalid`` for any other value."""
    import numpy as np

    column = _column(table, name)
    values = np.asarray(column.to_pylist(), dtype=object)
    if other := next((v for v in dict.fromkeys(values.tolist()) if v not in ROLES), None):
        raise Invalid(f"the split column {name} holds {other!r}.", next_step=_NEXT)
    if column.null_count:
        raise Invalid(f"the split column {name} holds empty cells.", next_step=_NEXT)
    return {role: found for role in ROLES if len(found := np.flatnonzero(values == role))}


def of_index(body: bytes, role: str, rows: int) -> NDArray[Any]:
    """Row numbers, from 0, of an index file: one a line, each once. Raises ``Invalid``."""
    import numpy as np

    lines = body.split()
    if not lines or not all(line.isdigit() and len(line) <= 15 for line in lines):
        raise Invalid(f"the {role} index is no list of row numbers.", next_step="write one row number a line, from 0.")
    found = np.sort(np.array([int(line) for line in lines], dtype=np.int64))
    if int(found[-1]) >= rows:
        raise Invalid(f"the {role} index names row {found[-1]}; the data has {rows}.", next_step="count rows from 0.")
    if (found[1:] == found[:-1]).any():
        raise Invalid(f"the {role} index names a row twice.", next_step="name each row once.")
    return found


def index_bytes(rows: NDArray[Any]) -> bytes:
    """The canonical index file: ascending row numbers, one a line. Its digest is the split's content."""
    return ("\n".join(map(str, rows.tolist())) + "\n").encode()


def identities(table: Any, columns: tuple[str, ...], split_column: str | None) -> list[Any]:
    """One hashable identity per row."""
    if columns == (ROW_NUMBER,):
        return list(range(len(table)))
    if columns:
        for name in columns:
            _column(table, name)
        return list(encoded_rows(table.select(list(columns))))
    return list(encoded_rows(table.select([n for n in table.column_names if n != split_column])))


def near_keys(table: Any, leave_out: tuple[str, ...]) -> list[bytes]:
    """One key per row that is the same for rows which agree after rounding; all equal if no column is left."""
    import pyarrow as pa

    rounded = {n: _rounded(table[n]) for n in table.column_names if n not in leave_out}
    return encoded_rows(pa.table(rounded)) if rounded else [b""] * len(table)


def _rounded(column: Any) -> Any:
    import numpy as np
    import pyarrow as pa
    from pyarrow import types as t

    kind = column.type
    if t.is_floating(kind) or t.is_integer(kind):
        numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            power = np.where(np.isfinite(numbers) & (numbers != 0), np.floor(np.log10(np.abs(numbers))), 0.0)
            scaled = np.where(np.isfinite(numbers), np.rint(numbers * 10.0 ** (2 - power)), numbers)
        carried = np.abs(scaled) >= 1000
        power, scaled = (
            np.where(carried, power + 1, power),
            np.where(carried & np.isfinite(scaled), scaled / 10, scaled),
        )
        return pa.array(np.where(np.isfinite(scaled), scaled * 4096 + power, scaled), mask=np.asarray(column.is_null()))
    if t.is_string(kind) or t.is_large_string(kind) or t.is_dictionary(kind):
        words = [None if v is None else " ".join(sorted(str(v).lower().split())) for v in column.to_pylist()]
        return pa.array(words, pa.string())
    return column


def overlaps(parts: Mapping[str, NDArray[Any]], identity: list[Any], near: list[bytes]) -> tuple[Overlap, ...]:
    """For each two parts: rows of the second that are equal to, or near, some row of the first."""
    members = {role: rows.tolist() for role, rows in parts.items()}
    found = []
    for first, second in combinations(members, 2):
        known = {identity[i] for i in members[first]}
        alike = {near[i] for i in members[first]}
        others = [i for i in members[second] if identity[i] not in known]
        equal = len(members[second]) - len(others)
        found.append(Overlap(first, second, equal, sum(near[i] in alike for i in others)))  # type: ignore[arg-type]
    return tuple(found)


def _column(table: Any, name: str) -> Any:
    if name not in table.column_names:
        raise Invalid(f"the data has no column {name}.", next_step=f"columns: {', '.join(table.column_names)[:300]}.")
    return table[name]
