"""Resolve ``requirements.lock``: hashed pins without addresses, for every supported Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Made by `make lock` from pyproject.toml. Hashed pins, no addresses.\n"


def main() -> int:
    """Write the lock file; the exit code of the resolver."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
    out = ROOT / "requirements.lock"
    done = subprocess.run(
        [
            sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "dev", "--universal",
            "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate",
            "--quiet", "-o", str(out), "--unsafe-package", "affidavit",
        ],
        cwd=ROOT,
        check=False,
    )  # fmt: skip
    if done.returncode == 0:
        lines = [
            line for line in out.read_text().splitlines() if not line.startswith(("#", "-e ", "affidavit @", "    #"))
        ]
        out.write_text(HEADER + "\n".join(lines) + "\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
