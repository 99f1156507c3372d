"""Lock the event vocabulary and the released checks: append what is new, refuse what changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from affidavit.areas.catalog import SYSTEM_FACTS, catalog
from affidavit.core.codec import plan
from affidavit.core.envelope import tag_of

SRC = Path(__file__).resolve().parent.parent / "src" / "affidavit"


def main() -> int:
    """Write every lock file; 1 if a locked fact lost or changed a field."""
    places = {SRC / f"areas/{name}": area.facts for name, area in catalog().areas.items()}
    places[SRC / "core"] = SYSTEM_FACTS
    for folder, classes in places.items():
        found = {f"{tag_of(c)} v{c.V}": plan(c).schema for c in sorted(classes, key=tag_of)}  # type: ignore[attr-defined]
        file = folder / "events.lock"
        old = json.loads(file.read_text()) if file.exists() and "--force" not in sys.argv else {}
        for key, schema in old.items():
            if found.get(key, [])[: len(schema)] != schema:
                print(f"{file}: {key} changed; give the changed fact a new version instead.")
                return 1
        file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    for name, area in catalog().areas.items():
        if area.checks:
            digests = {c.id: c.digest for c in catalog().controls.values() if c.area == name}
            (SRC / f"areas/{name}/checks.lock").write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
