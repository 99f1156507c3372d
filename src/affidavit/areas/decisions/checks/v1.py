"""Tests of AI-01.1 and AI-08.1 to AI-08.5, version 1: per item, every attribute of ``controls.yaml``. Frozen once released."""

from __future__ import annotations

from affidavit.areas.decisions.checks import explained, integrity, inventory, oversight, records, reperformed

SOURCES = tuple(
    f"affidavit.areas.decisions.checks.{m}"
    for m in ("explained", "integrity", "inventory", "oversight", "records", "reperformed", "v1")
)
"""Modules whose bytes make the check digest."""

CHECKS = (
    inventory.CHECK, records.CHECK, integrity.CHECK, explained.CHECK, oversight.CHECK, reperformed.CHECK,
)  # fmt: skip
