"""Kernels: pure functions from a table of rows to a small aggregate that merges exactly.

They run in the sealer or later, never in the serving process. An aggregate holds integers, decimal strings and maps
of these: counts, fixed-point sums, log-bin histograms. Its key is (kernel digest, baseline digest or none, segment,
outcome cut-off); it is committed with the batch and never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from affidavit.core.errors import Invalid

Aggregate = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A named, versioned kernel. ``run(table, schema)`` takes a ``pyarrow.Table`` without salts; ``merge`` is exact.

    ``kinds`` are the streams it reads; ``digest`` is that of the module that holds it.
    """

    name: str
    kinds: tuple[str, ...]
    run: Callable[[Any, Any], Aggregate]
    digest: str


def merge(one: Aggregate, other: Aggregate) -> dict[str, Any]:
    """Two aggregates of one kernel as one: integers add, maps merge key by key. Raises ``Invalid`` for other values."""
    merged: dict[str, Any] = dict(one)
    for key, value in other.items():
        held = merged.get(key)
        if held is None:
            merged[key] = value
        elif type(held) is int and type(value) is int:
            merged[key] = held + value
        elif isinstance(held, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(held, value)
        else:
            raise Invalid(
                f"{key}: {held!r} and {value!r} do not merge.", next_step="aggregates hold integers and maps."
            )
    return merged
