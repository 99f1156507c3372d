"""Sizes of a run, and the folder it works in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """How much is measured: ``full`` for the figures, ``quick`` to see that everything runs."""

    work: Path
    peers: bool
    rounds: int
    batches: int
    commands: int
    log_entries: int
    proofs: int
    ledger_entries: int
    processes: int
    peer_limit_s: float = 300.0
    segments: int = 763
    segment_rows: int = 131_072
    real_segments: int = 4
    lookups: int = 20


def full(work: Path, *, peers: bool) -> Plan:
    """The sizes that the goals name."""
    return Plan(work, peers, 9, 24, 24, 1_000_000, 30, 20_000, 21)


def quick(work: Path, *, peers: bool) -> Plan:
    """The same work, too small for its figures to mean anything."""
    return Plan(work, peers, 2, 3, 3, 5_000, 5, 100, 2, segments=4, segment_rows=4096, real_segments=2, lookups=3)
