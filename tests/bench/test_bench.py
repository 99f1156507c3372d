"""``bench/run.py`` runs from end to end, and its results have the promised shape."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"name", "ours", "peer", "peer_name", "floor", "floor_name", "unit", "ratio", "goal", "met", "versions"}
GROUPS = {
    "append",
    "inclusion proof",
    "prove and trace",
    "accepted",
    "publication",
    "verify a log",
    "rebuild",
    "--help",
    "affidavit verify",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The rows and the page of one quick run without peers."""
    folder = tmp_path_factory.mktemp("bench")
    out, docs = folder / "results.json", folder / "benchmarks.md"
    args = ["--quick", "--no-peers", "--out", str(out), "--docs", str(docs), "--work", str(folder / "work")]
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench/run.py"), *args], capture_output=True, check=False, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert list((folder / "work").iterdir()) == []
    return json.loads(out.read_text()), docs.read_text("utf-8")


@pytest.mark.slow
def test_every_row_has_the_promised_shape(run):
    """Exactly the promised keys; figures are numbers or null; goals can be parsed."""
    rows, _ = run
    for row in rows:
        assert set(row) == KEYS
        for key in ("ours", "peer", "floor", "ratio"):
            assert row[key] is None or (isinstance(row[key], float) and row[key] > 0)
        assert re.fullmatch(r"none|(<=|>=) [0-9.]+", row["goal"])
        assert isinstance(row["met"], bool)
        assert {"python", "sqlite", "cryptography", "pymerkle", "kernel", "cpus"} <= set(row["versions"])
    assert all(any(word in row["name"] for row in rows) for word in GROUPS)


@pytest.mark.slow
def test_a_goal_against_a_peer_that_is_absent_is_not_met(run):
    """Without its peer a row has no ratio, says why, and does not count as met."""
    rows = [row for row in run[0] if row["goal"].startswith(">=")]
    assert rows
    for row in rows:
        assert (row["peer"], row["ratio"], row["met"]) == (None, None, False)
        assert "--no-peers" in row["peer_name"]


@pytest.mark.slow
def test_the_page_has_a_fair_play_note_for_every_row(run):
    """Each row stands in the table and again under Fair play; the page says that it was a quick run."""
    rows, page = run
    table, notes = page.split("## Fair play")
    assert "quick run" in table
    for row in rows:
        assert f"| {row['name']} |" in table
        assert f"**{row['name']}**" in notes
