"""The demonstration's workspace, played once per session and copied for each test that changes it."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from affidavit.demo import story
from affidavit.demo.stage import Stage


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The demonstration after its simulated year, serving every twentieth person; ``year.out`` holds the account."""
    monkeypatch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("demo")
    monkeypatch.setenv("AFFIDAVIT_STATE", str(root / "state"))
    try:
        return story.run(root / "demo", out=io.StringIO(), every=20)
    finally:
        monkeypatch.undo()


@pytest.fixture
def copy(year: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the demonstration's workspace with its head store."""
    shutil.copytree(year.root.parent / "state", tmp_path / "state")
    shutil.copytree(year.root, tmp_path / "demo")
    monkeypatch.setenv("AFFIDAVIT_STATE", str(tmp_path / "state"))
    return tmp_path / "demo"
