"""A serving house per test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def house(tmp_path, clock):
    """Version 1 of employment, a model of a high-tier system, serves production."""
    from serving_house import ServingHouse

    return ServingHouse(tmp_path, clock)
