"""Write the evidence package of a period: a zip that a stranger verifies offline (docs/spec/package.md).

The same ledger, arguments and release give the same bytes, also after the ledger has grown beyond
``as_of``. PDF and OSCAL renderings are not part of this format version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

from affidavit.areas.catalog import frameworks
from affidavit.core import canonical
from affidavit.core.assessment import finding_row, item_row, population_digest
from affidavit.core.digest import of_bytes
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.fields import time_text
from affidavit.core.findings import Finding, Period
from affidavit.evidence import frozen, tables
from affidavit.evidence import manifest as m
from affidavit.evidence.archive import ZipWriter
from affidavit.evidence.gather import Gathered, disclosures, gather, later_files, read_object, sort_attachments
from affidavit.evidence.prefix import prefix_of
from affidavit.evidence.readme import readme
from affidavit.evidence.report import Pages, report
from affidavit.evidence.sample import Sample, check_nonce, default_size, draw, pick, sample_csv, sample_row
from affidavit.evidence.source import Source
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.tiles import tiles_of

DISCLOSED = (
    "fairness.group_basis", "fairness.reason", "lineage.account", "lineage.origin", "lineage.query", "registry.account",
    "registry.people_affected", "registry.promise", "registry.purpose", "registry.query", "registry.reason",
    "registry.risk_reason", "registry.tier_reason",
)  # fmt: skip
"""Private fields disclosed unless the caller says otherwise: about systems, data and plans. Names of
principals, keys of row hashes, texts of grants, incidents, reviews and erasures stay sealed."""
WITHHELD_KINDS = ("predictions",)
MAX_ATTACHMENT = 64 << 20
MAX_TIMESTAMPS = 400

Body = Callable[[], bytes]


@dataclass(frozen=True)
class Options:
    """What to package.

    ``as_of``: ledger size on a command boundary (None: all that is published). ``controls``: ids (none: all).
    ``nonce``: the auditor's, for sampling; ``picks``: keys the auditor names, by control; ``sizes``: sample
    sizes by control (default: customary for the frequency). ``disclose``: classes ``area.field`` or
    ``area.*``. ``withhold``: attachment kinds left out, and anything above ``max_attachment`` bytes.
    ``against``: a checkpoint note that the reader holds; a proof that it extends the package is added.
    """

    period: Period
    as_of: int | None = None
    controls: tuple[str, ...] = ()
    nonce: str | None = None
    picks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    disclose: tuple[str, ...] = DISCLOSED
    withhold: tuple[str, ...] = WITHHELD_KINDS
    max_attachment: int = MAX_ATTACHMENT
    against: bytes | None = None


@dataclass(frozen=True)
class Written:
    """What was written: size of the zip, number of files, ledger size, and what its readers will see first."""

    bytes: int
    files: int
    as_of: int
    manifest: m.Manifest
    findings: tuple[Finding, ...]
    missing: tuple[str, ...]


def write_package(out: BinaryIO, source: Source, options: Options) -> Written:
    """Write the package of a period to ``out``, which need not be seekable.

    A missing attachment does not stop it: the package says so and its verification fails there.
    Raises ``Invalid`` (arguments), ``NotFound`` (a control, a picked item), ``Tampered`` (the log does not
    agree with its signed head: nothing is signed), ``StoreDown``.
    """
    chosen = _chosen(source, options.controls)
    found = gather(source, options.as_of)
    findings = source.findings(options.period, found.as_of, chosen)
    _check_findings(findings, chosen, found.as_of)
    taken, withheld = sort_attachments(source, found, options.withhold, options.max_attachment)
    shown = disclosures(source, found, options.disclose)
    files: dict[str, Body] = {}
    samples = {f.control: _sample(source, found, options, f) for f in findings}
    stamps = _timestamps(source, found.as_of)
    manifest = m.Manifest(
        source.origin, found.clock, found.as_of, m.Span(options.period.start, options.period.end),  # type: ignore[arg-type]
        m.Product("affidavit", source.version), source.signer.vkey, tuple(chosen), tuple(sorted(options.disclose)),
        (), tuple(withheld), "simulated" if source.origin.endswith(m.SIMULATED) else None,
    )  # fmt: skip
    controls = _controls(source, found, options.period, findings)
    pages = Pages(manifest, findings, samples, controls, shown, sorted(stamps))
    files.update(_log(source, found))
    files.update({f"timestamps/{size}.tsr": partial(bytes, body) for size, body in stamps.items()})
    files.update(_fixed(later_files(source, found, options.against)))
    files.update({_object_path(a.digest): partial(read_object, source, a) for a in taken})
    files.update(_fixed({f"keys/{n:04d}.note": read_object(source, a) for n, a in enumerate(found.changes, 1)}))
    files.update(_fixed(_tables(source, findings, samples)))
    plain = {
        m.VKEY: (source.signer.vkey + "\n").encode(),
        "findings.json": _findings_json(findings, found.as_of, options.period),
        "controls.json": _json(controls),
        "disclosures.json": _json(shown),
        "README.txt": readme(manifest),
        "report.html": report(pages),
    }
    files.update(_fixed(plain))
    return _write(out, source, manifest, files, findings)


def _fixed(bodies: Mapping[str, bytes]) -> dict[str, Body]:
    return {path: partial(bytes, body) for path, body in bodies.items()}


def _object_path(digest: str) -> str:
    return "attachments/sha256/" + digest.removeprefix("sha256:")


def _chosen(source: Source, wanted: Sequence[str]) -> list[str]:
    for name in wanted:
        if name not in source.controls:
            raise NotFound(f"no control {name!r}.", next_step=f"controls: {', '.join(sorted(source.controls))}.")
    return sorted(set(wanted) or source.controls)


def _check_findings(findings: Sequence[Finding], chosen: Sequence[str], as_of: int) -> None:
    """The findings are those asked for, and their digests are those of their items."""
    if [f.control for f in findings] != list(chosen) or any(f.as_of != as_of for f in findings):
        raise Invalid("the findings are not those of the chosen controls and size.", next_step="report this.")
    for finding in findings:
        if population_digest(finding.items) != finding.population_sha256:
            raise Invalid(f"{finding.control}: the population is not the one of the finding.", next_step="report this.")


def _json(value: Any) -> bytes:
    body = canonical.encode(value)
    if len(body) > m.JSON_LIMIT:
        raise Invalid(f"a file of {len(body)} bytes is too large to read whole.", next_step="package fewer controls.")
    return body


def _log(source: Source, found: Gathered) -> dict[str, Body]:
    """The log as it stood at ``as_of``: bundles, tiles, and a checkpoint of that size.

    The checkpoint may be signed, because its tree was proven to be the beginning of the published one.
    """
    read = prefix_of(source.tiles, found.head.size)
    files: dict[str, Body] = {f"log/{tile.path}": partial(read, tile.path) for tile in tiles_of(found.as_of)}
    note = sign_checkpoint(Checkpoint(source.origin, found.as_of, found.root), source.signer)
    return files | _fixed({m.CHECKPOINT: note})


def _timestamps(source: Source, as_of: int) -> dict[int, bytes]:
    """The stamps of checkpoints up to ``as_of``: all, or at most 400 spread evenly with the first and last."""
    stamps = {size: body for size, body in source.timestamps() if 0 < size <= as_of}
    sizes = sorted(stamps)
    if len(sizes) > MAX_TIMESTAMPS:
        step = (len(sizes) - 1) / (MAX_TIMESTAMPS - 1)
        sizes = sorted({sizes[round(i * step)] for i in range(MAX_TIMESTAMPS)})
    return {size: stamps[size] for size in sizes}


def _sample(source: Source, found: Gathered, options: Options, finding: Finding) -> Sample:
    rows = list(map(item_row, finding.items))
    if finding.control in options.picks:
        return pick(options.picks[finding.control], rows, finding.population_sha256)
    frequency = str(source.controls[finding.control].body.get("frequency", "per_event"))
    size = options.sizes.get(finding.control, default_size(frequency, finding.n))
    if options.nonce is None:
        return draw("log", found.root.hex(), rows, finding.population_sha256, size)
    return draw("nonce", check_nonce(options.nonce), rows, finding.population_sha256, size)


def _tables(source: Source, findings: Sequence[Finding], samples: Mapping[str, Sample]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for finding in findings:
        row, rows = finding_row(finding), list(map(item_row, finding.items))
        body = tables.population_csv(rows)
        sample = samples[finding.control]
        files[f"populations/{finding.control}.csv"] = body
        files[f"populations/{finding.control}.json"] = _json(
            tables.sidecar(row, rows, body, source.origin, source.version)
        )
        files[f"results/{finding.control}.csv"] = tables.results_csv(row["grid"])
        files[f"samples/{finding.control}.csv"] = sample_csv(sample)
        files[f"samples/{finding.control}.json"] = _json(sample_row(sample))
    return files


def _findings_json(findings: Sequence[Finding], as_of: int, period: Period) -> bytes:
    span = {"from": time_text(period.start), "to": time_text(period.end)}
    rows = [finding_row(f) for f in findings]
    return _json({"as_of": as_of, "findings": rows, "label": m.SELF_TEST, "period": span})


def _controls(source: Source, found: Gathered, period: Period, findings: Sequence[Finding]) -> dict[str, Any]:
    """``controls.json``: the library rows in scope, with the parameters in force and the framework ids."""
    text, _ = found.attachments[found.rules.digest_for(period)]
    in_force = frozen.parameters(read_object(source, text), text.digest, source.controls)
    rows = []
    for finding in findings:
        control = source.controls[finding.control]
        body = {k: v for k, v in control.body.items() if k not in ("maps", "parameters")}
        extra = {
            "area": control.area,
            "check_digest": control.digest,
            "evidence relevant to": control.body.get("maps", {}),
            "parameter_digest": finding.parameter_digest,
            "parameters": in_force.get(control.id, {}),
        }
        rows.append(_plain(body | extra))
    names = {key: str(body["short"]) for key, body in frameworks().items()}
    return {"controls": rows, "frameworks": names, "note": "framework ids name criteria that the evidence is relevant to; no more.",
            "rules": text.digest}  # fmt: skip


def _plain(value: Any) -> Any:
    """A value of a data file in canonical JSON: what is neither text, integer nor truth becomes text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if value is None or type(value) in (str, bool, int) else str(value)


def _write(
    out: BinaryIO, source: Source, manifest: m.Manifest, files: Mapping[str, Body], findings: Sequence[Finding]
) -> Written:
    writer = ZipWriter(out)
    listed = list(_stream(writer, files))
    whole = m.Manifest(**{f: getattr(manifest, f) for f in m.Manifest.__dataclass_fields__} | {"files": tuple(listed)})
    body = m.encode_manifest(whole)
    writer.add(m.MANIFEST, body)
    writer.add(m.NOTE, m.sign_manifest(whole, body, source.signer))
    size = writer.close()
    missing = tuple(w.digest for w in manifest.withheld if w.why == "missing")
    return Written(size, len(listed) + 2, manifest.as_of, whole, tuple(findings), missing)


def _stream(writer: ZipWriter, files: Mapping[str, Body]) -> Iterator[m.File]:
    for path in m.order(list(files)):
        body = files[path]()
        writer.add(path, body)
        yield m.File(path, len(body), of_bytes(body))
