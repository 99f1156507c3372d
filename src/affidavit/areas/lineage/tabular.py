"""Reading a table, Parquet or CSV, in batches, from bytes whose digest is known. IO: measures alone use it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from affidavit.core.area import Desk
from affidavit.core.digest import CHUNK
from affidavit.core.errors import Invalid, Refused, Tampered

BATCH = 65_536
_WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"
_DECIMAL = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
Open = Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Bytes:
    """A file's digest and length, and how to open it again."""

    digest: str
    size: int
    open: Open


def measured(desk: Desk, path: str) -> Bytes:
    """Hash a ``LocalPath`` in a stream. A stored object that is not its own digest raises ``Tampered``."""
    digest, size = _hash(lambda: desk.source(path))
    if path.startswith("sha256:") and digest != path:
        raise Tampered(
            f"the stored object {path} hashes to {digest}.", next_step="restore it, then run `affidavit verify`."
        )
    return Bytes(digest, size, lambda: desk.source(path))


def unchanged(file: Bytes) -> None:
    """Raise ``Refused`` if the file changed while it was read: hash it once more."""
    if _hash(file.open)[0] != file.digest:
        raise Refused(
            "data_changed", "the data changed while it was read.",
            next_step="let no one write to the file; measure again.",
        )  # fmt: skip


def _hash(open_: Open) -> tuple[str, int]:
    state, size = hashlib.sha256(), 0
    with open_() as source:
        while chunk := source.read(CHUNK):
            state.update(chunk)
            size += len(chunk)
    return "sha256:" + state.hexdigest(), size


def batches(file: Bytes) -> tuple[Any, Iterator[Any]]:
    """(Arrow schema, record batches) of a Parquet file, or of a CSV file with a header line.

    Of CSV a column is whole numbers or decimals if every cell is written as one (``007`` is text); an empty cell is
    null. Raises ``Invalid``.
    """
    with file.open() as source:
        magic = source.read(4)
    if magic == b"PAR1":
        return _parquet(file)
    table = _csv(file)
    return table.schema, iter(table.to_batches(BATCH))


def table(file: Bytes) -> Any:
    """The whole table in memory."""
    import pyarrow as pa

    schema, found = batches(file)
    with _readable():
        return pa.Table.from_batches(list(found), schema)


@contextmanager
def _readable() -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as e:
        raise Invalid(
            f"the data is neither Parquet nor CSV with a header: {str(e).splitlines()[0][:200]}.",
            next_step="give a .parquet file, or UTF-8 CSV.",
        ) from None


def _parquet(file: Bytes) -> tuple[Any, Iterator[Any]]:
    import pyarrow.parquet as pq

    with _readable(), file.open() as source, pq.ParquetFile(source) as opened:
        schema = opened.schema_arrow

    def run() -> Iterator[Any]:
        with _readable(), file.open() as source, pq.ParquetFile(source) as opened:
            yield from opened.iter_batches(BATCH)

    return schema, run()


def _csv(file: Bytes) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    with _readable():
        with file.open() as source:
            names = csv.open_csv(source).schema.names
        if len(set(names)) != len(names):
            raise Invalid("column names are repeated.", next_step="give each column a name of its own.")
        options = csv.ConvertOptions(
            column_types={n: pa.string() for n in names}, null_values=[""], strings_can_be_null=True
        )
        with file.open() as source:
            text = csv.read_csv(source, convert_options=options)
        return pa.table({n: _typed(text[n]) for n in names})


def _typed(column: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute as pc

    if column.null_count == len(column):
        return column
    for pattern, kind in ((_WHOLE, pa.int64()), (_DECIMAL, pa.float64())):
        if pc.all(pc.match_substring_regex(column, pattern)).as_py():
            return column.cast(kind)
    return column
