"""Attachments, disclosures, findings, populations and samples of a package, each against the entries or one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from affidavit.core import canonical
from affidavit.core.commitment import opens
from affidavit.core.errors import AffidavitError, NotFound
from affidavit.core.fields import time_text
from affidavit.evidence import tables
from affidavit.evidence.archive import Archive
from affidavit.evidence.entries import EntryCheck
from affidavit.evidence.manifest import JSON_LIMIT, SELF_TEST, Manifest
from affidavit.evidence.sample import redraw
from affidavit.evidence.verdict import Notebook
from affidavit.ledger.fields import base64_bytes

_OBJECTS = "attachments/sha256/"
_OFF_FORM = (KeyError, TypeError, AttributeError, ValueError, IndexError)


def guarded(book: Notebook, kind: str, path: str, step: Callable[[], None]) -> None:
    """Run a check; what it raises becomes a problem at ``path``, also for data that is off form."""
    try:
        step()
    except NotFound as e:
        book.flaw("missing", path, None, e.problem)
    except AffidavitError as e:
        book.flaw(kind, path, None, e.problem)
    except _OFF_FORM as e:
        book.flaw(kind, path, None, f"it is off form: {type(e).__name__} {e}")


def check_attachments(book: Notebook, archive: Archive, entries: EntryCheck, manifest: Manifest) -> None:
    """Each attachment that an entry names is there with its digest and size, or withheld, or disposed of."""
    withheld = {w.digest: w for w in manifest.withheld}
    for digest, (attachment, index) in entries.attachments.items():
        path = _OBJECTS + digest.removeprefix("sha256:")
        member = archive.members.get(path)
        if member is not None:
            if archive.digests[path] != digest or member.size != attachment.bytes:
                book.flaw("attachment", path, index, "its bytes are not those that the entry names")
            if digest in withheld:
                book.flaw("attachment", path, index, "it is in the package and listed as withheld")
        elif digest in withheld and withheld[digest].why != "missing":
            book.notes.append(f"{attachment.kind} attachment of entry {index} is withheld ({withheld[digest].why})")
        elif digest in entries.disposed:
            book.notes.append(f"{attachment.kind} attachment of entry {index} was disposed of; an entry says so")
        else:
            book.flaw("missing", path, index, f"the {attachment.kind} attachment is missing and no entry says why")
    for digest in withheld.keys() - entries.attachments.keys():
        book.flaw("withheld", "manifest.json", None, f"{digest} is listed as withheld and no entry names it")
    for path in archive.members:
        if path.startswith(_OBJECTS) and "sha256:" + path.removeprefix(_OBJECTS) not in entries.attachments:
            book.flaw("unexpected", path, None, "no entry names this attachment")


def check_disclosures(book: Notebook, archive: Archive, entries: EntryCheck) -> None:
    """Each disclosed text opens the commitment of its entry; what is gone was disposed of."""
    body = canonical.decode(archive.read("disclosures.json", JSON_LIMIT))
    for line in body["opened"]:
        _check_opened(book, entries, line)
    for line in body["erased"]:
        if line["vault"] not in entries.disposed:
            book.notes.append(f"{line['field']} of entry {line['entry']} is erased; the entry that says so is later")
    for line in body["missing"]:
        book.flaw("missing", "disclosures.json", line["entry"], f"the text of {line['field']} is lost or damaged")
    total = sum(len(fields) for fields in entries.private.values())
    counted = len(body["opened"]) + len(body["erased"]) + len(body["missing"]) + body["sealed"]
    if not total == body["private_fields"] == counted:
        book.flaw("disclosure", "disclosures.json", None, f"it counts {counted} private fields, the log has {total}")


def _check_opened(book: Notebook, entries: EntryCheck, line: Mapping[str, Any]) -> None:
    index, name = line["entry"], line["field"]
    sealed = entries.private.get(index, {}).get(name)
    if sealed is None or sealed.vault != line["vault"]:
        book.flaw("disclosure", "disclosures.json", index, f"the entry has no private field {name} under this id")
        return
    key = base64_bytes(line["key"], f"the key of {name}")
    if not opens(sealed.commit, key, name, line["text"]):
        book.flaw("disclosure", "disclosures.json", index, f"text and key do not open the commitment of {name}")
    if sealed.vault in entries.disposed:
        book.flaw("disclosure", "disclosures.json", index, f"{name} is disclosed although it was disposed of")


def check_findings(book: Notebook, archive: Archive, manifest: Manifest, root_hex: str) -> list[dict[str, Any]]:
    """Findings agree with populations, results and samples, and with themselves; the rows are returned."""
    body = canonical.decode(archive.read("findings.json", JSON_LIMIT))
    rows: list[dict[str, Any]] = body["findings"]
    start, end = time_text(manifest.period.start), time_text(manifest.period.end)
    frame = {"as_of": manifest.as_of, "label": SELF_TEST, "period": {"from": start, "to": end}}
    if {k: v for k, v in body.items() if k != "findings"} != frame:
        book.flaw("finding", "findings.json", None, "its size, period or label are not those of the manifest")
    if [row["control"] for row in rows] != list(manifest.controls):
        book.flaw("finding", "findings.json", None, "its controls are not those of the manifest")
        return rows
    for row in rows:
        if row["as_of"] != manifest.as_of or row["period"] != frame["period"]:
            book.flaw("finding", "findings.json", None, f"{row['control']} is of another size or period")
        _check_control(book, archive, manifest, row, root_hex)
    check = canonical.decode(archive.read("controls.json", JSON_LIMIT))
    stated = [(c["id"], c["check_digest"], c["parameter_digest"]) for c in check["controls"]]
    if stated != [(r["control"], r["check_digest"], r["parameter_digest"]) for r in rows]:
        book.flaw("finding", "controls.json", None, "its controls, checks or parameters are not those of the findings")
    return rows


def _check_control(book: Notebook, archive: Archive, manifest: Manifest, row: Mapping[str, Any], root_hex: str) -> None:
    control, population = row["control"], row["population"]
    path = f"populations/{control}.csv"

    def whole() -> None:
        body = archive.read(path, JSON_LIMIT)
        items = tables.population_rows(body, path)
        if tables.population_digest(items) != population["sha256"]:
            book.flaw(
                "population", path, None, f"it hashes to {tables.population_digest(items)}, the finding says another"
            )
        guarded(
            book, "population", f"populations/{control}.json", lambda: _sidecar(book, archive, manifest, row, items)
        )
        guarded(book, "sample", f"samples/{control}.json", lambda: _sample(book, archive, row, items, root_hex))
        _check_row(book, row, items, manifest.as_of)

    guarded(book, "population", path, whole)
    results = f"results/{control}.csv"

    def same() -> None:
        if archive.read(results, JSON_LIMIT) != tables.results_csv(row["grid"]):
            book.flaw("results", results, None, "it is not the grid of the finding")

    guarded(book, "results", results, same)


def _sidecar(
    book: Notebook, archive: Archive, manifest: Manifest, row: Mapping[str, Any], items: Sequence[tables.Row]
) -> None:
    path = f"populations/{row['control']}.json"
    body = tables.population_csv(items)
    expected = tables.sidecar(row, items, body, manifest.origin, manifest.product.version)
    if canonical.decode(archive.read(path, JSON_LIMIT)) != expected:
        book.flaw("population", path, None, "it does not describe the population of the finding")


def _sample(
    book: Notebook, archive: Archive, row: Mapping[str, Any], items: Sequence[tables.Row], root_hex: str
) -> None:
    name = f"samples/{row['control']}"
    stated = canonical.decode(archive.read(f"{name}.json", JSON_LIMIT))
    sample = redraw(stated, items, row["population"]["sha256"], archive.read(f"{name}.csv", JSON_LIMIT), name)
    if sample.method == "log" and sample.seed != root_hex:
        book.flaw("sample", f"{name}.json", None, "its seed is not the root of the log")
    if sample.method == "log" and sample.rows:
        note = "samples without the auditor's nonce are selectable by management"
        if note not in book.notes:
            book.notes.append(note)


def _check_row(book: Notebook, row: Mapping[str, Any], items: Sequence[tables.Row], as_of: int) -> None:
    """A finding's statuses, counts and exceptions follow from its own grid."""
    control, grid = row["control"], row["grid"]
    real = [
        i["key"] for i in items
        if not i["drill"] and any(o["outcome"] != "not_applicable" for o in grid.get(i["key"], {}).values())
    ]  # fmt: skip
    failed = {k: {a: o["reason"] for a, o in grid[k].items() if o["outcome"] == "deviation"} for k in real}
    untested = {f"{k} {a}": o["reason"] for k in real for a, o in grid[k].items() if o["outcome"] == "not_tested"}
    stated = {e["item"]: e["attributes"] for e in row["exceptions"]}
    complete = row["population"]["completeness"]["proven"] is True
    open_ = bool(untested) or not complete
    operating = "not evaluated" if open_ else "pass" if real else "no population"
    operating = "exception" if row["exceptions"] or row["missed"] else operating
    headline = "exception" if "exception" in (operating, row["design"]) else operating
    headline = row["design"] if headline == "pass" else headline
    claims = {
        "grid": set(grid) == {i["key"] for i in items},
        "n": row["population"]["n"] == len(real),
        "exceptions": stated == {k: v for k, v in failed.items() if v} and len(stated) == len(row["exceptions"]),
        "untested": row["untested"] == untested,
        "operating": row["operating"] == operating,
        "headline": row["headline"] == headline,
        "entries": all(0 <= e < as_of for i in items for e in i["entries"]),
    }
    for name, holds in claims.items():
        if not holds:
            book.flaw(
                "finding", "findings.json", None, f"{control}: {name} does not follow from its own items and grid"
            )
