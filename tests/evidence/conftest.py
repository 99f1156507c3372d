"""Ledgers and packages in memory."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from paper_ledger import PERIOD, PaperLedger, small

from affidavit.evidence.package import Options, write_package


@pytest.fixture
def ledger() -> PaperLedger:
    """The small ledger, published."""
    return small()


@pytest.fixture
def pack() -> Callable[..., bytes]:
    """Writes a package of a ledger."""

    def packed(ledger: PaperLedger, **options: object) -> bytes:
        out = io.BytesIO()
        write_package(out, ledger.source(), Options(options.pop("period", PERIOD), **options))
        return out.getvalue()

    return packed
