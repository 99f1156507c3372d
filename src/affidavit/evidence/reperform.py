"""Recompute the findings of a package from its entries, with the frozen checks of the installed release.

No code is loaded from the package. A finding made by another version of a check is not re-performed,
and never counts as confirmed. Re-performance says nothing about integrity: verify first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from affidavit.areas.catalog import Control, catalog
from affidavit.core import canonical
from affidavit.core.assessment import Bench, assess, finding_row
from affidavit.core.errors import AffidavitError, Invalid
from affidavit.core.findings import Facts, Period
from affidavit.evidence import frozen
from affidavit.evidence import manifest as m
from affidavit.evidence.archive import Archive, open_archive
from affidavit.evidence.packaged import opened
from affidavit.evidence.source import entries_of

MAX_DIFFERENCES = 50

State = Literal["same", "different", "not re-performed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs: its place in the finding, what the package says, what was recomputed."""

    place: str
    packaged: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome for one control. ``reason`` says why it was not re-performed."""

    control: str
    state: State
    reason: str = ""
    differences: tuple[Difference, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the finding was recomputed and is the same."""
        return self.state == "same"

    def __str__(self) -> str:
        if self.state == "not re-performed":
            return f"{self.control}: not re-performed ({self.reason})"
        places = "".join(f"; {d.place}: packaged {d.packaged}, recomputed {d.recomputed}" for d in self.differences)
        return f"{self.control}: {self.state}{places}"


def reperform(package: str | Path | BinaryIO, controls: Mapping[str, Control] | None = None) -> list[Comparison]:
    """Recompute every finding of a package and compare it, value by value.

    Args:
        package: the zip; verify it first.
        controls: the control library to use; the installed release's by default.

    Returns:
        One comparison per finding of the package, in its order.

    Raises:
        Invalid, NotFound, Tampered: the package cannot be read, or its entries not be understood.
    """
    with opened(package) as file:
        archive = open_archive(file)
        manifest = m.parse_manifest(archive.read(m.MANIFEST, m.JSON_LIMIT))
        body = canonical.decode(archive.read("findings.json", m.JSON_LIMIT))
        rows = body.get("findings") if isinstance(body, dict) else None
        if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
            raise Invalid("findings.json holds no findings.", next_step="verify the package.")
        library = catalog().controls if controls is None else controls
        return list(_compare_all(archive, manifest, rows, library))


def _compare_all(
    archive: Archive, manifest: m.Manifest, rows: list[dict[str, Any]], library: Mapping[str, Control]
) -> Iterator[Comparison]:
    period = Period(manifest.period.start, manifest.period.end)
    known = [library[str(r.get("control"))] for r in rows if _reason(r, library) is None]
    adoptions = frozen.Adoptions()
    facts = Facts()
    entries = entries_of(lambda path: archive.read(f"log/{path}", m.JSON_LIMIT), 0, manifest.as_of, manifest.as_of)
    for record in frozen.records(entries, known, adoptions.take):
        facts.add(record)
    facts.parameters = (
        {i: dict(p) for i, p in _parameters(archive, adoptions, period, library).items()} if known else {}
    )
    for row in rows:
        reason = _reason(row, library)
        if reason is not None:
            yield Comparison(str(row.get("control")), "not re-performed", reason)
            continue
        control = library[row["control"]]
        bench = Bench(control.body, control.check, control.digest, facts.parameters.get(control.id, {}))
        yield _compare(row, bench, facts, period, manifest.as_of)


def _reason(row: Mapping[str, Any], library: Mapping[str, Control]) -> str | None:
    """Why a finding cannot be recomputed here, or None."""
    control = library.get(str(row.get("control")))
    if control is not None and control.digest == row.get("check_digest"):
        return None
    return f"needs check {row.get('check_digest')}"


def _parameters(
    archive: Archive, adoptions: frozen.Adoptions, period: Period, library: Mapping[str, Control]
) -> frozen.Parameters:
    digest = adoptions.digest_for(period)
    text = archive.read("attachments/sha256/" + digest.removeprefix("sha256:"), m.JSON_LIMIT)
    return frozen.parameters(text, digest, library)


def _compare(row: Mapping[str, Any], bench: Bench, facts: Facts, period: Period, as_of: int) -> Comparison:
    try:
        finding = assess(bench, facts, period, as_of)
    except AffidavitError as e:
        return Comparison(str(row["control"]), "not re-performed", f"the check failed: {e.problem}")
    fresh = canonical.decode(canonical.encode(finding_row(finding)))
    found = tuple(d for _, d in zip(range(MAX_DIFFERENCES), differences(row, fresh), strict=False))
    return Comparison(finding.control, "different" if found else "same", "", found)


def differences(packaged: Any, recomputed: Any, place: str = "") -> Iterator[Difference]:
    """Every place at which two JSON values differ, depth first."""
    if isinstance(packaged, Mapping) and isinstance(recomputed, Mapping):
        for key in sorted({*packaged, *recomputed}):
            yield from differences(packaged.get(key), recomputed.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(packaged, list) and isinstance(recomputed, list) and len(packaged) == len(recomputed):
        for number, (one, other) in enumerate(zip(packaged, recomputed, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")
    elif packaged != recomputed or type(packaged) is not type(recomputed):
        yield Difference(place, _shown(packaged), _shown(recomputed))


def _shown(value: Any) -> str:
    text = canonical.encode(value).decode()
    return text if len(text) <= 200 else text[:197] + "..."
