"""Run every comparison: ours, the peer and the physical limit in turns, in one run.

python bench/run.py                 # everything: bench/results.json and docs/reference/benchmarks.md
python bench/run.py --quick         # small sizes: does it run?
python bench/run.py --only grown  # one group, on the screen alone
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import plan as plans
import report
import rows_explain
import rows_grown
import rows_log
import rows_lookup
import rows_process
import rows_record
import rows_seal
import rows_store

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {
    "append": rows_store.append,
    "command": rows_store.command,
    "log": rows_log.log_rows,
    "grown": rows_grown.grown,
    "process": rows_process.processes,
    "record": rows_record.recording,
    "seal": rows_seal.sealing,
    "lookup": rows_lookup.lookups,
    "explain": rows_explain.explaining,
}


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ours, the peer and the physical limit side by side.")
    parser.add_argument("--quick", action="store_true", help="small sizes; the figures mean nothing")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out: nothing is installed")
    parser.add_argument("--only", choices=sorted(GROUPS), help="one group of rows; nothing is written")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results.json")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "reference" / "benchmarks.md")
    parser.add_argument("--work", type=Path, default=ROOT / ".cache" / "bench", help="on the disk to be measured")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the rows, print and write them."""
    given = _arguments(argv)
    given.work.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=given.work))
    os.environ["AFFIDAVIT_STATE"] = str(work / "state")
    for name in ("AFFIDAVIT_KEY", "AFFIDAVIT_WORKSPACE"):
        os.environ.pop(name, None)
    plan = (plans.quick if given.quick else plans.full)(work, peers=not given.no_peers)
    rows = []
    try:
        for name in [given.only] if given.only else GROUPS:
            start = time.perf_counter()
            rows += GROUPS[name](plan)
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    facts = report.versions()
    for row in rows:
        row.versions = facts
    print(report.table(rows))
    if not given.only:
        report.write_results(rows, given.out)
        given.docs.parent.mkdir(parents=True, exist_ok=True)
        given.docs.write_text(report.page(rows, quick=given.quick), encoding="utf-8")
    return 1 if given.check and not all(row.met for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
