"""Every test runs on its own state folder; nothing of the user's machine is read or written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from affidavit.bootstrap import Created, init
from affidavit.store.clock import SimulatedClock

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Head stores lie in a folder of the test."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("AFFIDAVIT_STATE", str(folder))
    for name in ("AFFIDAVIT_KEY", "AFFIDAVIT_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    yield folder


@pytest.fixture
def clock() -> SimulatedClock:
    """A simulated clock at the start of 2026."""
    return SimulatedClock(START)


@pytest.fixture
def make(tmp_path: Path, clock: SimulatedClock) -> Callable[..., Created]:
    """Makes workspaces below the test's folder."""

    def made(name: str = "ws", **options: object) -> Created:
        return init(tmp_path / name, clock=options.pop("clock", clock), **options)  # type: ignore[arg-type]

    return made


SERVING = {"house", "world", "sealed", "served", "attempted", "troubled"}
"""Fixtures that take a model to production first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """CI requires every component: a skip for a missing one fails there. Whole journeys are left out of the inner loop."""
    for item in items:
        if "decisions" in item.path.parts and SERVING & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    if os.environ.get("AFFIDAVIT_REQUIRE_COMPONENTS"):
        for item in items:
            item.add_marker(pytest.mark.require_components)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "require_components: skips for missing components fail")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Turn a skip into a failure where every component is required."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and item.get_closest_marker("require_components") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"a component is missing: {report.longrepr}"
