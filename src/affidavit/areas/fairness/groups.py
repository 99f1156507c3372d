"""Group columns of a table as labels: plain columns as they are, banded ones by their edges.

Arrow in, lists of labels out; numpy and pyarrow are imported inside the functions.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affidavit.areas.fairness.rules import column_of
from affidavit.core.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_GROUPS = 20
MISSING = "missing"


def read(path: Path) -> Any:
    """The table of a Parquet or CSV file, told apart by its first bytes. Raises ``Invalid``."""
    import pyarrow as pa

    try:
        with path.open("rb") as source:
            magic = source.read(4)
        if magic == b"PAR1":
            import pyarrow.parquet as pq

            return pq.read_table(path)
        from pyarrow import csv

        return csv.read_csv(path)
    except (pa.ArrowException, OSError, ValueError) as e:
        raise Invalid(
            f"the data is neither Parquet nor CSV: {str(e)[:200]}.", next_step="give the registered file."
        ) from None


def _column(table: Any, name: str) -> Any:
    if name not in table.column_names:
        known = ", ".join(table.column_names)[:300]
        raise Invalid(f"the data has no column {name!r}.", next_step=f"columns: {known}.")
    return table[name]


def labels(table: Any, token: str, rows: NDArray[Any]) -> list[str]:
    """The label of each row in a group token: the cell as text, its band, or ``missing`` for an empty cell.

    Bands of the edges 25 and 40: ``under 25``, ``25 to under 40``, ``40 and over``. Raises ``Invalid`` for a plain
    column of more than 20 distinct values, or a banded one that is not numeric.
    """
    name, edges = column_of(token)
    values = _column(table, name).take(rows)
    if edges:
        return _bands(name, values, edges)
    found = [
        MISSING if v in (None, "") else str(v).lower() if isinstance(v, bool) else str(v) for v in values.to_pylist()
    ]
    if len(distinct := set(found)) > MOST_GROUPS:
        raise Invalid(
            f"{name} has {len(distinct)} distinct values; a group column has at most {MOST_GROUPS}.",
            next_step=f"name its bands in the plan, such as {name}:25,40,60.",
        )
    return found


def _bands(name: str, values: Any, edges: tuple[str, ...]) -> list[str]:
    import numpy as np
    import pyarrow as pa

    try:
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        raise Invalid(f"{name} is not numeric, so it has no bands.", next_step="name the plain column.") from None
    inner = [f"{low} to under {high}" for low, high in pairwise(edges)]
    names = np.array([f"under {edges[0]}", *inner, f"{edges[-1]} and over"], dtype=object)
    found = names[np.digitize(numbers, [float(e) for e in edges])]
    found[np.isnan(numbers)] = MISSING
    return [str(x) for x in found]


def truth(table: Any, name: str, rows: NDArray[Any]) -> NDArray[Any]:
    """0/1 labels of these rows, int64; an empty or other cell is −1, which is no label."""
    import numpy as np

    cells = _column(table, name).take(rows).to_pylist()
    return np.array([int(v) if v in (0, 1) else -1 for v in cells], dtype=np.int64)


def members(table: Any, name: str, split: str) -> NDArray[Any]:
    """Ascending numbers of the rows whose split column says ``split``."""
    import numpy as np

    cells = _column(table, name).to_pylist()
    return np.flatnonzero(np.array([str(v) == split for v in cells], dtype=bool))
