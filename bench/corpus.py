"""The entries that ours and the peers hold alike. Standard library only: peers import it in their own environments."""

from __future__ import annotations

import random
from collections.abc import Iterator

ENTRY_BYTES = 200
_SEED = 6962


def entries(count: int) -> Iterator[bytes]:
    """``count`` entries of 200 bytes, the same on every machine and run."""
    draw = random.Random(_SEED).randbytes
    for _ in range(count):
        yield draw(ENTRY_BYTES)


def indexes(count: int, size: int, run: int) -> list[int]:
    """``count`` places below ``size``, others for each run."""
    return random.Random(f"{_SEED} {run}").choices(range(size), k=count)
