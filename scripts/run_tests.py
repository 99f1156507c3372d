"""Run every test, saying first which real components are here and loudly which are not.

With ``AFFIDAVIT_REQUIRE_COMPONENTS`` a missing component fails the run instead of being skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def openmp() -> bool:
    """Whether LightGBM can load its OpenMP runtime."""
    done = subprocess.run([sys.executable, "-c", "import lightgbm"], capture_output=True, check=False)
    return done.returncode == 0


COMPONENTS = {
    "openssl (the RFC 3161 authority)": lambda: shutil.which("openssl") is not None,
    "strace (faults injected into system calls)": lambda: shutil.which("strace") is not None,
    "lightgbm with OpenMP (libgomp)": openmp,
}


def main() -> int:
    """Check components, then pytest; its exit code."""
    missing = [name for name, here in COMPONENTS.items() if not here()]
    for name in COMPONENTS:
        print(f"component {'MISSING' if name in missing else 'present'}: {name}", flush=True)
    if missing and os.environ.get("AFFIDAVIT_REQUIRE_COMPONENTS"):
        print("A required component is missing; nothing was run.")
        return 1
    if missing:
        print("!!! TESTS THAT NEED THE MISSING COMPONENTS WILL BE SKIPPED !!!", flush=True)
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
