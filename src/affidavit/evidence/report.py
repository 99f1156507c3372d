"""``report.html``: the package for a reader. Self-contained, no script, no network, every value escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from affidavit.core.fields import time_text
from affidavit.core.findings import Finding, ItemException
from affidavit.evidence.manifest import LEVELS, Manifest
from affidavit.evidence.sample import Sample

_SHOWN = 25
"""Ids listed in a sentence before the reader is sent to the file."""

_STYLE = """
body{font:15px/1.5 Georgia,serif;color:#1a1a1a;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1,h2,h3,th,.s{font-family:Helvetica,Arial,sans-serif}h2{border-bottom:2px solid #1a1a1a;margin-top:2.5rem}
table{border-collapse:collapse;width:100%;margin:.6rem 0;font-size:.9rem}
th,td{text-align:left;vertical-align:top;overflow-wrap:anywhere;border-bottom:1px solid #ccc;padding:.3rem .6rem .3rem 0}
td:first-child{min-width:8rem}
.s{font-size:.8rem;padding:.05rem .45rem;border:1px solid;border-radius:.2rem;white-space:nowrap}
.exception{color:#8f1d14}.pass{color:#1c5c2e}.gap{color:#6b4e00}
.bar{background:#f4f1e8;border-left:4px solid #6b4e00;padding:.6rem 1rem}code{font-size:.85em;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none}section{break-inside:avoid}}
"""


class Markup(str):
    """Text that is HTML already; any other text is escaped when put into a page."""

    __slots__ = ()


def put(value: object) -> str:
    """A value as HTML."""
    return value if isinstance(value, Markup) else escape(str(value))


def tag(name: str, *children: object, cls: str = "") -> Markup:
    """An element with escaped children."""
    attribute = f' class="{escape(cls)}"' if cls else ""
    return Markup(f"<{name}{attribute}>{''.join(map(put, children))}</{name}>")


def rows(header: Sequence[str], lines: Iterable[Sequence[object]]) -> Markup:
    """A table, or nothing when there is no line."""
    body = [tag("tr", *(tag("td", cell) for cell in line)) for line in lines]
    head = tag("tr", *(tag("th", h) for h in header)) if any(header) else ""
    return tag("table", head, *body) if body else Markup("")


def bullets(lines: Iterable[object]) -> Markup:
    """A list."""
    return tag("ul", *(tag("li", line) for line in lines))


@dataclass(frozen=True)
class Pages:
    """What the report shows. ``stamped`` are the sizes of timestamped checkpoints, ascending."""

    manifest: Manifest
    findings: Sequence[Finding]
    samples: Mapping[str, Sample]
    controls: Mapping[str, Any]
    disclosures: Mapping[str, Any]
    stamped: Sequence[int]


def report(pages: Pages) -> bytes:
    """The whole page."""
    rows_of = {row["id"]: row for row in pages.controls["controls"]}
    names = pages.controls["frameworks"]
    body = [
        *_head(pages.manifest),
        *_gaps(pages),
        *_exceptions(pages.findings),
        *_summary(pages.findings),
        *_verify(),
        tag("h2", "Controls"),
        *(_control(f, rows_of.get(f.control, {}), pages.samples[f.control], names) for f in pages.findings),
        *_limits(),
    ]
    title = f"{_title(pages.manifest)}: {pages.manifest.origin}"
    head = tag("head", Markup('<meta charset="utf-8">'), tag("title", title), Markup(f"<style>{_STYLE}</style>"))
    return ("<!doctype html>\n" + Markup(f'<html lang="en">{head}{tag("body", *body)}</html>\n')).encode()


def _title(manifest: Manifest) -> str:
    return "Package of a simulated log" if manifest.label else "Evidence package"


def _day(text: object) -> str:
    return str(text).removesuffix(":00.000Z").replace("T", " ")


def _head(manifest: Manifest) -> list[Markup]:
    found = [
        tag("h1", _title(manifest)),
        tag("p", tag("strong", "Management's self-test - not the auditor's test."),
            " Results are computed from the ledger in this package; conclusions are the reader's."),
    ]  # fmt: skip
    if manifest.label:
        says = "Simulated clock: times are invented. Nothing in this package is evidence of operation."
        found.append(tag("p", tag("strong", says), cls="bar exception"))
    start, end = time_text(manifest.period.start), time_text(manifest.period.end)
    facts = [
        ("Log", manifest.origin),
        ("Period", f"{_day(start)} to {_day(end)} UTC, end excluded"),
        ("As of", f"{manifest.as_of} entries"),
        ("Written by", f"{manifest.product.name} {manifest.product.version}"),
        ("Log key", tag("code", manifest.log_key)),
    ]
    return [*found, rows(("", ""), facts)]


def _gaps(pages: Pages) -> list[Markup]:
    lines = list(_gap_lines(pages))
    if not lines:
        return [tag("h2", "Gaps"), tag("p", "None known.")]
    return [tag("h2", "Gaps"), tag("p", "What this package does not show:"), bullets(lines)]


def _gap_lines(pages: Pages) -> Iterable[object]:
    for f in pages.findings:
        if f.operating in ("not evaluated", "no population"):
            yield f"{f.control}: operation {f.operating}. {_result(f)}"
        if f.design != "pass":
            yield f"{f.control}: design {f.design}{'' if f.drills else ' (no drill of this check in the period)'}."
        for reason in sorted(set(f.untested.values())):
            yield f"{f.control}: not tested: {reason}"
        if not f.completeness.proven:
            yield f"{f.control}: completeness of the population is not proven: {f.completeness.how}"
        if len(f.completeness.sources) < 2 and "single source" not in f.completeness.how:
            yield f"{f.control}: the population comes from a single source ({', '.join(f.completeness.sources)})."
    for w in pages.manifest.withheld:
        why = {"class": "left out by class", "size": "left out by size", "missing": "MISSING from the store"}[w.why]
        yield Markup(f"{put(w.kind)} attachment of entry {w.entry}, {w.bytes} bytes: {why} {tag('code', w.digest)}")
    if lost := len(pages.disclosures["missing"]):
        yield f"{_texts(lost)} missing from the vault, or not opening its commitment."
    if erased := len(pages.disclosures["erased"]):
        yield f"{_texts(erased)} erased; the commitment remains."
    if sealed := pages.disclosures["sealed"]:
        yield f"{_texts(sealed)} sealed: not of a class that was disclosed."
    if not pages.stamped or pages.stamped[-1] < pages.manifest.as_of:
        reach = f"up to entry {pages.stamped[-1]} only" if pages.stamped else "no timestamp"
        yield f"Unanchored: {reach}. The operator could have rewritten the rest before you got a checkpoint."
    if any(s.method == "log" and s.rows for s in pages.samples.values()):
        yield "Samples without the auditor's nonce are selectable by management."


def _texts(n: int) -> str:
    return "1 private text is" if n == 1 else f"{n} private texts are each"


def _exceptions(findings: Sequence[Finding]) -> list[Markup]:
    lines = [tag("p", tag("strong", f.control), " ", _result(f)) for f in findings if f.operating == "exception"]
    lines += [
        tag("p", tag("strong", f.control), " Exception noted: a planted known-bad case was not caught.")
        for f in findings
        if f.design == "exception"
    ]
    return [tag("h2", "Exceptions"), *(lines or [tag("p", _none(findings))])]


def _none(findings: Sequence[Finding]) -> str:
    if all(f.headline == "pass" for f in findings):
        return "No exceptions noted."
    return "None among what was tested; not everything was: read the gaps above."


def _result(f: Finding) -> str:
    """The sentence of a control's result, in the words of a report's test table."""
    if f.exceptions or f.missed:
        keys = [e.item for e in f.exceptions] + [f"missed: {m}" for m in f.missed]
        listed = ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
        missed = f", {len(f.missed)} expected runs missed" if f.missed else ""
        return f"Exception noted: {len(f.exceptions)} of {f.n} items{missed} ({listed})."
    if f.operating == "pass":
        return "No exceptions noted."
    if f.operating == "no population":
        return "The circumstances that warrant the control did not occur; operation not tested."
    open_ = f"{len(f.untested)} attribute tests were not possible" if f.untested else "completeness is open"
    found = f"no exceptions among the {f.n} items as far as tested" if f.n else "no item was found"
    return f"Not evaluated: {open_}; {found}."


def _summary(findings: Sequence[Finding]) -> list[Markup]:
    lines = [
        (f.control, f.title, _state(f.headline), _state(f.operating), _state(f.design), f.n, len(f.exceptions))
        for f in findings
    ]
    header = ("Control", "", "Result", "Operation", "Design", "Items", "Exceptions")
    return [tag("h2", "Results"), rows(header, lines)]


def _state(status: str) -> Markup:
    return tag("span", status, cls="s " + {"pass": "pass", "exception": "exception"}.get(status, "gap"))


def _verify() -> list[Markup]:
    levels = [(tag("strong", name), says) for name, says in LEVELS.items()]
    return [
        tag("h2", "Verification"),
        tag("p", "This page proves nothing by itself. Verify the zip it came in: ",
            tag("code", "affidavit verify PACKAGE.zip --vkey KEY --require pinned"),
            ". The verdict names its level first:"),
        rows(("Level", "Meaning"), levels),
        tag("p", "Compare the log key above with its owner over another channel. README.txt says how to verify with "
            "other tools."),
    ]  # fmt: skip


def _control(f: Finding, row: Mapping[str, Any], sample: Sample, names: Mapping[str, str]) -> Markup:
    maps = row.get("evidence relevant to", {})
    relevant = "; ".join(
        f"{names.get(key, key)}: {', '.join(map(str, ids))}" for key, ids in sorted(maps.items()) if ids
    )
    parameters = ", ".join(f"{k} = {v}" for k, v in sorted(row.get("parameters", {}).items()))
    completeness = ("proven: " if f.completeness.proven else "not proven: ") + f.completeness.how
    facts: list[tuple[object, object]] = [
        ("Control as stated", _stated(row)),
        ("Parameters in force", parameters or "none"),
        ("Evidence relevant to", relevant or "no framework"),
        (
            "Test",
            f"every item by {len(_attributes(f) or row.get('attributes', ()))} attributes, check {f.check_digest}",
        ),
        ("Population", f"{f.n} items ({_left_out(f)}): {f.query}"),
        ("Sources", ", ".join(f.completeness.sources)),
        ("Completeness", completeness),
        ("Population digest", tag("code", f.population_sha256)),
        ("Sample", f"{len(sample.rows)} of {sample.population_n}; {sample.label}"),
        ("Result", tag("strong", _result(f))),
        ("Design", f"{f.design}; drills: {', '.join(f'entry {i}' for i in f.drills) or 'none in the period'}"),
    ]
    heading = tag("h3", f.control, " ", f.title, " ", _state(f.headline))
    return tag("section", heading, rows(("", ""), facts), _grid(f, row.get("attributes", {})), _details(f.exceptions))


def _attributes(f: Finding) -> list[str]:
    return sorted({a for outcomes in f.grid.values() for a in outcomes})


def _stated(row: Mapping[str, Any]) -> str:
    """The statement with the parameters in force in place of its braces."""
    parameters = row.get("parameters") or {}
    return re.sub(r"\{(\w+)\}", lambda m: str(parameters.get(m[1], m[0])), str(row.get("statement", "")))


def _left_out(f: Finding) -> str:
    """How many items of the population file the count leaves out, and why."""
    planted = sum(i.drill for i in f.items)
    return f"{planted} planted, {len(f.items) - f.n - planted} classed out"


def _grid(f: Finding, stated: Mapping[str, Any]) -> Markup:
    """How often each attribute passed, deviated, did not apply, or was not tested; planted items left out."""
    states = ("pass", "deviation", "not_applicable", "not_tested")
    real = [f.grid[i.key] for i in f.items if not i.drill]
    lines = [
        (_attribute(attribute, stated), *(sum(o[attribute].state == s for o in real if attribute in o) for s in states))
        for attribute in _attributes(f)
    ]
    return rows(("Attribute", "Pass", "Deviation", "Not applicable", "Not tested"), lines)


def _attribute(name: str, stated: Mapping[str, Any]) -> str:
    says = stated.get(name) if isinstance(stated, Mapping) else None
    return f"{name}: {says}" if says else name


def _details(exceptions: Sequence[ItemException]) -> Markup:
    lines = [
        (e.item, _day(time_text(e.at)), bullets(f"{a}: {r}" for a, r in sorted(e.attributes.items())),
         ", ".join(map(str, e.entries)))
        for e in exceptions
    ]  # fmt: skip
    return rows(("Exception", "At", "Why", "Entries"), lines)


def _limits() -> list[Markup]:
    return [
        tag("h2", "What this does not show"),
        bullets([
            "That a recorded fact is true, or that something never recorded did not happen.",
            "That nothing was rewritten before the first checkpoint, timestamp or receipt that somebody else holds.",
            "A conclusion on any criterion: framework ids say what the evidence is relevant to, no more.",
            "PDF and OSCAL renderings: not part of this format version.",
        ]),
    ]  # fmt: skip
