"""Rows in and out of Parquet and CSV for measures: columns by name, a split, labels, a golden set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from affidavit.core.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(path: Path) -> Any:
    """An Arrow table of a Parquet or CSV file, told apart by its first bytes. Raises ``Invalid``."""
    import pyarrow as pa

    try:
        with path.open("rb") as source:
            magic = source.read(4)
        if magic == b"PAR1":
            import pyarrow.parquet as pq

            return pq.read_table(path)
        from pyarrow import csv

        return csv.read_csv(path)
    except (pa.ArrowException, OSError) as e:
        raise Invalid(f"the data cannot be read: {e}.", next_step="give Parquet or CSV with a header line.") from None


def _column(table: Any, name: str) -> Any:
    if name not in table.column_names:
        known = ", ".join(table.column_names[:20])
        raise Invalid(f"the data has no column {name!r}.", next_step=f"columns: {known}.")
    return table.column(name)


def rows_of(table: Any, split_column: str, split: str) -> NDArray[Any]:
    """Row numbers of a split, int64 and ascending. Raises ``Invalid`` for none."""
    import numpy as np

    values = _column(table, split_column).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(values.astype(str) == split).astype(np.int64)
    if not len(rows):
        raise Invalid(
            f"no row belongs to the split {split!r}.", next_step="name the split column and its values right."
        )
    return rows


def rows_listed(body: bytes, rows: int) -> NDArray[Any]:
    """Row numbers of an index file, from 0, one a line, each once; ascending. Raises ``Invalid``."""
    import numpy as np

    lines = body.split()
    if not lines or not all(line.isdigit() and len(line) <= 15 for line in lines):
        raise Invalid("the index is no list of row numbers.", next_step="write one row number a line, from 0.")
    found = np.sort(np.array([int(line) for line in lines], dtype=np.int64))
    if int(found[-1]) >= rows or (found[1:] == found[:-1]).any():
        raise Invalid(f"the index names a row twice, or beyond the {rows} rows.", next_step="count rows from 0, once.")
    return found


def index_bytes(rows: NDArray[Any]) -> bytes:
    """The canonical index file, as lineage writes it: ascending row numbers, one a line."""
    return ("\n".join(map(str, rows.tolist())) + "\n").encode()


def labels(table: Any, name: str, rows: NDArray[Any]) -> NDArray[Any]:
    """0/1 labels of these rows, int64. Raises ``Invalid`` for anything else."""
    import numpy as np

    values = _column(table, name).to_numpy(zero_copy_only=False)[rows]
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        raise Invalid(f"label {name!r} is not numeric.", next_step="code the labels as 0 and 1.") from None
    if not np.isin(numbers, (0.0, 1.0)).all():
        raise Invalid(f"label {name!r} holds something other than 0 and 1.", next_step="code the labels as 0 and 1.")
    found: NDArray[Any] = numbers.astype(np.int64)
    return found


def matrix(table: Any, features: tuple[str, ...], rows: NDArray[Any]) -> NDArray[Any]:
    """float64 features of these rows, shape (rows, features), missing as NaN. Raises ``Invalid``."""
    import numpy as np

    found = np.empty((len(rows), len(features)), dtype=np.float64)
    for i, name in enumerate(features):
        column = _column(table, name).to_numpy(zero_copy_only=False)
        if len(rows) and rows.max() >= len(column):
            raise Invalid(f"row {rows.max()} is beyond the {len(column)} rows.", next_step="give the evaluated data.")
        column = column[rows]
        try:
            found[:, i] = column.astype(np.float64)
        except (TypeError, ValueError):
            raise Invalid(
                f"feature {name!r} is not numeric.", next_step="encode it as the model was trained."
            ) from None
    return found


def predictions(rows: NDArray[Any], truth: NDArray[Any], scores: NDArray[Any], decided: NDArray[Any]) -> bytes:
    """A Parquet file of (row, label, score, decision): the evidence of an evaluation, and the golden set of a drill."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = [pa.array(rows, pa.int64()), pa.array(truth, pa.int8()), pa.array(scores, pa.float64())]
    arrays.append(pa.array(decided, pa.int8()))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays, names=["row", "label", "score", "decision"]), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def golden(table: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """(row numbers, expected scores) of a golden set. Raises ``Invalid`` unless it has ``row`` and ``score``."""
    import numpy as np

    rows = _column(table, "row").to_numpy(zero_copy_only=False).astype(np.int64)
    return rows, _column(table, "score").to_numpy(zero_copy_only=False).astype(np.float64)
