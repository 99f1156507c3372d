"""Drawing a sample that anybody can draw again from the population file.

Order the items by SHA-256(nonce LF population digest LF key) and take the first n. With the auditor's
nonce, given after the population was fixed, nobody chose the items. A seed that comes from the log alone
can be tried out beforehand: such a sample is labelled ``selectable by management``.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from affidavit.core.errors import Invalid, NotFound
from affidavit.evidence import tables
from affidavit.evidence.tables import Row

ALGORITHM = "sha256(nonce LF population_sha256 LF key), ascending; affidavit/sample/v1"
SELECTABLE = "selectable by management: the seed comes from the log alone"
AUDITOR = "seeded by the auditor's nonce"
PICKED = "items named by the auditor"
MAX_NONCE = 200
_FIXED_SIZES = {"annual": 1, "semiannual": 2, "quarterly": 2, "monthly": 2, "weekly": 5, "daily": 25}
"""Customary sizes per frequency; no standard prescribes any, so the auditor may ask for others."""

Method = Literal["nonce", "log", "picked"]


class Sample(NamedTuple):
    """The drawn items in order; ``seed`` is the nonce, the log's root in hexadecimal, or empty when picked."""

    method: Method
    seed: str
    population_sha256: str
    population_n: int
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        """Who could have chosen the items."""
        return {"nonce": AUDITOR, "log": SELECTABLE, "picked": PICKED}[self.method]


def default_size(frequency: str, n: int) -> int:
    """How many of ``n`` items are customary for a control of this frequency; never more than ``n``.

    Per-event and continuous controls: up to 4 all, up to 50 five, up to 250 a tenth (5 to 25), up to 365
    25, beyond 40. Source: sampling table of the control library's method.
    """
    if frequency in _FIXED_SIZES:
        return min(n, _FIXED_SIZES[frequency])
    if n <= 4:
        return n
    if n <= 50:
        return 5
    if n <= 250:
        return max(5, min(25, round(n / 10)))
    return 25 if n <= 365 else 40


def check_nonce(nonce: str) -> str:
    """A nonce is 8 to 200 printable ASCII characters. Raises ``Invalid``."""
    if not 8 <= len(nonce) <= MAX_NONCE or not nonce.isascii() or not nonce.isprintable():
        raise Invalid(
            "the nonce is not 8 to 200 printable ASCII characters.", next_step="let the auditor choose another."
        )
    return nonce


def order_key(nonce: str, population_sha256: str, key: str) -> str:
    """The place of an item: hexadecimal SHA-256 of nonce, population digest and key, a newline between them."""
    return sha256(f"{nonce}\n{population_sha256}\n{key}".encode()).hexdigest()


def draw(method: Method, seed: str, rows: Sequence[Row], population_sha256: str, size: int) -> Sample:
    """The first ``size`` items by ``order_key``; planted items (drills) are outside of the frame."""
    frame = [row for row in rows if not row["drill"]]
    ordered = sorted(frame, key=lambda row: (order_key(seed, population_sha256, row["key"]), row["key"]))
    return Sample(method, seed, population_sha256, len(frame), tuple(ordered[:size]))


def pick(keys: Sequence[str], rows: Sequence[Row], population_sha256: str) -> Sample:
    """The items that the auditor names, in that order. Raises ``NotFound`` for a key that is none."""
    frame = {row["key"]: row for row in rows if not row["drill"]}
    for key in keys:
        if key not in frame:
            raise NotFound(f"the population has no item {key!r}.", next_step="name keys of the population file.")
    return Sample("picked", "", population_sha256, len(frame), tuple(frame[k] for k in dict.fromkeys(keys)))


def sample_csv(sample: Sample) -> bytes:
    """``samples/<control>.csv``: rank and order value before the cells of the item."""
    lines = [[str(rank), _order(sample, row), *tables.cells(row)] for rank, row in enumerate(sample.rows, 1)]
    return tables.encode(tables.SAMPLE, lines)


def _order(sample: Sample, row: Row) -> str:
    return "" if sample.method == "picked" else order_key(sample.seed, sample.population_sha256, row["key"])


def sample_row(sample: Sample) -> dict[str, Any]:
    """``samples/<control>.json``: how the sample was drawn, to draw it again."""
    return {
        "algorithm": "none" if sample.method == "picked" else ALGORITHM,
        "label": sample.label,
        "method": sample.method,
        "n": len(sample.rows),
        "population_n": sample.population_n,
        "population_sha256": sample.population_sha256,
        "seed": sample.seed,
    }


def redraw(stated: Any, rows: Sequence[Row], population_sha256: str, csv_body: bytes, name: str) -> Sample:
    """The sample that a sidecar describes, drawn again. Raises ``Invalid`` unless it gives ``stated`` and ``csv_body``."""
    try:
        method, seed, n = stated["method"], stated["seed"], stated["n"]
    except (TypeError, KeyError):
        raise Invalid(f"{name} does not say how the sample was drawn.", next_step="ask for it again.") from None
    if method not in ("nonce", "log", "picked") or type(seed) is not str or type(n) is not int:
        raise Invalid(f"{name} does not say how the sample was drawn.", next_step="ask for it again.")
    if method == "picked":
        keys = [line[2] for line in tables.decode(csv_body, tables.SAMPLE, name)]
        sample = pick(keys, rows, population_sha256)
    else:
        sample = draw(method, seed, rows, population_sha256, n)
    if sample_row(sample) != stated or sample_csv(sample) != csv_body:
        raise Invalid(f"{name}: drawing again gives another sample.", next_step="do not rely on the sample.")
    return sample
