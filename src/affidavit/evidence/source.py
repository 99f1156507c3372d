"""What a package is made from, as functions: so that evidence needs no service, and tests no workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from affidavit.areas.catalog import Control
from affidavit.core.findings import Finding, Period
from affidavit.core.ports import Signer
from affidavit.evidence.prefix import prefix_of
from affidavit.ledger.tiles import ENTRIES, WIDTH, Read, Tile, decode_bundle, width_at

Findings = Callable[[Period, int, Sequence[str]], list[Finding]]


def no_timestamps() -> Iterable[tuple[int, bytes]]:
    """No timestamp authority is configured."""
    return ()


@dataclass(frozen=True)
class Source:
    """A published log and what lies beside it.

    ``head`` is the published checkpoint (a note), ``tiles`` reads the log directory, ``vkeys`` are the keys
    that may have signed the head, ``signer`` holds the present log key. ``objects`` opens a stored object by
    digest, ``vault`` gives (text, key) or None when erased; both raise ``NotFound``. ``findings`` assesses
    controls for (period, ledger size, control ids). ``controls`` is the whole control library by id.
    ``timestamps`` gives (size, RFC 3161 answer) of stamped checkpoints.
    """

    origin: str
    head: bytes
    tiles: Read
    vkeys: Sequence[str]
    signer: Signer
    objects: Callable[[str], BinaryIO]
    vault: Callable[[str], tuple[str, bytes] | None]
    findings: Findings
    controls: Mapping[str, Control]
    version: str
    timestamps: Callable[[], Iterable[tuple[int, bytes]]] = no_timestamps


def entries_of(read: Read, start: int, stop: int, held: int) -> Iterator[tuple[int, bytes]]:
    """Entries ``start <= index < stop`` with their index, from the bundles of a log of ``held`` entries."""
    cut = prefix_of(read, held)
    for number in range(start // WIDTH, -(-stop // WIDTH)):
        tile = Tile(ENTRIES, number, width_at(ENTRIES, number, stop))
        for place, body in enumerate(decode_bundle(cut(tile.path), tile.width)):
            if number * WIDTH + place >= start:
                yield number * WIDTH + place, body
