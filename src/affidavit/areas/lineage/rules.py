"""What lineage decides: which dataset versions, splits, runs and extracts are recorded."""

from __future__ import annotations

import re
from typing import Any

from affidavit.areas.lineage import commands as c
from affidavit.areas.lineage import events as e
from affidavit.areas.lineage import view
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused
from affidavit.core.fields import time_text

CONTROLS = ("AI-02.1",)
MOST_READS = 500
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)
_RETENTION = re.compile(r"P(?=\d)(\d{1,4}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,6}D)?", re.ASCII)
EXAMPLE = "https://www2.census.gov/programs-surveys/acs/data/pums/2015/1-Year/csv_pma.zip"
_ORIGIN = f"name the exact place, such as {EXAMPLE}, s3://bucket/key or doi:10.5281/zenodo.7654321."
_URL = re.compile(r"([a-z][a-z0-9+.-]{1,20})://([^/?#\s]*)(/[^?#\s]*)?([?#]\S*)?", re.IGNORECASE)
_CATALOGUE = (
    re.compile(r"urn:[a-z0-9][a-z0-9-]{1,31}:[^\s:/]\S{2,}", re.IGNORECASE),  # RFC 8141
    re.compile(r"doi:10\.\d{4,9}/\S{2,}", re.IGNORECASE),  # ISO 26324
    re.compile(r"(ark|hdl|swh):\S*[0-9a-z]\S*[/:]\S{2,}", re.IGNORECASE),
)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)+(:\d{1,5})?", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](@[a-z0-9.-]+)?", re.IGNORECASE)
_VAGUE = frozenset(
    {
        "data", "dataset", "internet", "web", "various", "public", "unknown", "open", "misc", "other", "online", "todo",
        "tbd", "na", "none", "null", "example", "file", "files", "download", "downloads", "path", "to", "index.html",
    }
)  # fmt: skip
_UNKNOWN = frozenset({"unknown", "none", "n/a", "na", "tbd", "todo", "various", "other", "misc", "*"})


def record_dataset(cmd: c.RecordDataset, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Whole provenance, an owner who exists, parents that exist; each version once."""
    check_declaration(cmd)
    if cmd.collected_to > ctx.now:
        raise Invalid(
            f"collected_to: {time_text(cmd.collected_to)} lies in the future.",
            next_step="give the period in which the data was collected; the end is not after today.",
        )
    if not cmd.rows:
        raise Invalid("the data has no rows.", next_step="register data that has at least one row.")
    _registered_once(cmd, state, ctx)
    if ctx.ask("access.principal", cmd.owner) is None:
        raise NotFound(
            f"owner: no principal {cmd.owner}.", next_step="register it: affidavit access register-principal."
        )
    for parent in cmd.parents:
        if _find(parent, state, ctx) is None:
            raise Refused(
                "unknown_parent", f"the parent {parent} is not registered.",
                next_step="register it first: affidavit lineage register-dataset.", controls=CONTROLS,
            )  # fmt: skip
    fact = e.DatasetRegistered(
        cmd.dataset, cmd.version, cmd.origin, cmd.source_version, cmd.licence, cmd.legal_basis, cmd.sensitivity,
        cmd.owner, cmd.collected_from, cmd.collected_to, cmd.retention, cmd.content, cmd.bytes, cmd.rows, cmd.row_set,
        cmd.row_key, cmd.schema, cmd.parents,
    )  # fmt: skip
    return [
        Draft(fact, (f"dataset:{cmd.dataset}", f"dataset:{cmd.dataset}/{cmd.version}", *dict.fromkeys(cmd.parents)))
    ]


def check_declaration(cmd: c.RecordDataset | c.RegisterDataset) -> None:
    """Raise ``Invalid`` for what can be seen without reading the data; a measure asks it before it reads."""
    if not _VERSION.fullmatch(cmd.version):
        raise Invalid(
            f"version: {cmd.version!r} cannot stand in a reference.",
            next_step="use letters, digits, dots and dashes: 2015.",
        )
    check_origin(cmd.origin.words())
    for field in ("source_version", "licence"):
        if getattr(cmd, field).lower() in _UNKNOWN:
            raise Invalid(
                f"{field}: {getattr(cmd, field)!r} says nothing.",
                next_step="give the release of the source, such as 2015-1yr, and the licence, such as CC-BY-4.0.",
            )
    if not cmd.collected_from < cmd.collected_to:
        raise Invalid(
            f"collection ends {time_text(cmd.collected_to)}, not after its start {time_text(cmd.collected_from)}.",
            next_step="swap collected_from and collected_to.",
        )
    match = _RETENTION.fullmatch(cmd.retention)
    if not match or not re.search("[1-9]", cmd.retention):
        raise Invalid(f"retention: {cmd.retention!r} is no period.", next_step="write P3Y, P18M, P2W or P90D.")
    own = f"dataset:{cmd.dataset}/{cmd.version}"
    for parent in cmd.parents:
        dataset_name(parent)
        if parent == own:
            raise Invalid(f"{own} names itself as a parent.", next_step="name the versions it was made from.")


def _registered_once(cmd: c.RecordDataset, state: ViewTx, ctx: Ctx) -> None:
    name = f"{cmd.dataset}/{cmd.version}"
    earlier = view.dataset(state, name)
    if earlier is None or earlier["drill"] != ctx.drill:
        return
    if earlier["content"] == cmd.content:
        raise Refused(
            "already_registered", f"dataset:{name} was registered {earlier['at']} with this content.",
            next_step=f"use dataset:{name}.",
        )  # fmt: skip
    raise Refused(
        "content_differs", f"dataset:{name} is registered as {earlier['content']}, this is {cmd.content}.",
        next_step="register a new version for other bytes.", controls=CONTROLS,
    )  # fmt: skip


def record_splits(cmd: c.RecordSplits, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Measured on the registered bytes. Splits that share rows are recorded as well: a measurement is no verdict."""
    found = known_dataset(cmd.dataset, state, ctx)
    same_content(found, cmd.content)
    names = [s.name for s in cmd.splits]
    if not names or len(set(names)) != len(names):
        raise Invalid(f"the splits are {names}.", next_step="give each split once, and at least one.")
    fact = e.SplitMeasured(
        found["dataset"], found["version"], cmd.content, cmd.splits, cmd.overlaps, cmd.identity, cmd.code
    )
    return [Draft(fact, (f"dataset:{found['dataset']}", cmd.dataset))]


def record_run(cmd: c.RecordRun, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Every input is a registered version, read as it was registered; a run is recorded once."""
    if not cmd.started < cmd.ended:
        raise Invalid(
            f"the run ended {time_text(cmd.ended)}, not after its start {time_text(cmd.started)}.",
            next_step="give the times of the run: started < ended.",
        )
    if cmd.ended > ctx.now:
        raise Invalid(
            f"ended: {time_text(cmd.ended)} lies in the future.", next_step="record the run once it has ended."
        )
    if not cmd.inputs:
        raise Invalid("inputs is empty.", next_step="name every dataset version that the run read.")
    earlier = view.run(state, cmd.run)
    if earlier is not None:
        raise Refused(
            "already_recorded", f"run {cmd.run} was recorded {earlier['at']}.", next_step="draw a fresh run id."
        )
    _no_addresses(cmd.parameters)
    for given in cmd.inputs:
        _read_as_registered(given, state, ctx)
    fact = e.RunRecorded(
        cmd.run, cmd.started, cmd.ended, cmd.code, cmd.environment, cmd.parameters, cmd.inputs, cmd.output, cmd.seed
    )
    return [Draft(fact, (f"run:{cmd.run}", *dict.fromkeys(i.dataset for i in cmd.inputs)))]


def _no_addresses(parameters: dict[str, str]) -> None:
    """Parameters stand in the log for good, so they name no one: an ``@`` is taken for an e-mail address."""
    found = next((i for i, pair in enumerate(parameters.items(), 1) if any("@" in text for text in pair)), None)
    if found is not None:
        raise Refused(
            "address_in_parameters", f"parameter {found} of the run holds an @, as e-mail addresses do.",
            next_step="leave people out of the parameters; who recorded the run is known by principal id.",
        )  # fmt: skip


def _read_as_registered(given: e.Input, state: ViewTx, ctx: Ctx) -> None:
    found = _find(given.dataset, state, ctx)
    if found is None:
        raise Refused(
            "unknown_dataset", f"the input {given.dataset} is not registered.",
            next_step="register it: affidavit lineage register-dataset; then record the run.", controls=CONTROLS,
        )  # fmt: skip
    parts = [p for p in view.parts(state, dataset_name(given.dataset)) if p["content"] == given.content]
    if given.content != found["content"] and not parts:
        raise Refused(
            "content_differs",
            f"the run read {given.content}; {given.dataset} is registered as {found['content']}, and no split of it so.",
            next_step="register what was read as a new version, or measure its splits: affidavit lineage measure-splits.",
            controls=CONTROLS,
        )
    if parts and given.role not in {p["name"] for p in parts}:
        raise Refused(
            "role_differs", f"the run used the split {parts[0]['name']} of {given.dataset} for {given.role}.",
            next_step=f"train on the split measured as {given.role}.", controls=(*CONTROLS, "AI-01.3"),
        )  # fmt: skip
    most = max([p["rows"] for p in parts], default=found["rows"])
    if not 1 <= given.rows <= most:
        raise Invalid(
            f"the input {given.dataset} counts {given.rows} rows; {most} were recorded.",
            next_step="give the rows read.",
        )


def record_reads(cmd: c.RecordReads, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """The extract whole: its window has passed, every row lies in it, none is left out.

    The extract refers to the runs it saw, a read to its run and to the dataset version with these bytes.
    """
    if not cmd.start < cmd.end <= ctx.now:
        raise Invalid(
            f"the window {time_text(cmd.start)} to {time_text(cmd.end)} has not passed.",
            next_step="give a window that is over: start < end <= now.",
        )
    if len(cmd.reads) > MOST_READS:
        raise Invalid(
            f"the extract has {len(cmd.reads)} rows; at most {MOST_READS}.", next_step="take in shorter windows."
        )
    runs = sorted({f"run:{r.run}" for r in cmd.reads})
    extract = e.ReadsExtracted(
        cmd.source, cmd.account, cmd.query, cmd.start, cmd.end, len(cmd.reads), cmd.raw, cmd.extractor
    )
    drafts = [Draft(extract, (f"source:{cmd.source}", *runs))]
    for number, row in enumerate(cmd.reads, 1):
        if not cmd.start <= row.read_at < cmd.end:
            raise Invalid(
                f"row {number}: {time_text(row.read_at)} lies outside the window.", next_step="give the window it has."
            )
        fact = e.ReadObserved(cmd.source, row.run, row.content, row.read_at)
        drafts.append(Draft(fact, (f"run:{row.run}", *view.with_content(state, row.content))))
    return drafts


def dataset_name(ref: str) -> str:
    """``acs/2015`` of ``dataset:acs/2015``. Raises ``Invalid``."""
    kind, _, name = ref.partition(":")
    if kind != "dataset" or name.count("/") != 1 or not all(name.split("/")):
        raise Invalid(f"{ref!r} names no dataset version.", next_step="write it as dataset:NAME/VERSION.")
    return name


def known_dataset(ref: str, state: ViewTx, ctx: Ctx) -> dict[str, Any]:
    """The version of a reference. Raises ``NotFound``; a planted version exists for drills alone."""
    found = _find(ref, state, ctx)
    if found is None:
        raise NotFound(f"no {ref}.", next_step="`affidavit lineage datasets` lists them.")
    return found


def _find(ref: str, state: ViewTx, ctx: Ctx) -> dict[str, Any] | None:
    found = view.dataset(state, dataset_name(ref))
    return None if found is None or (found["drill"] and not ctx.drill) else found


def same_content(found: dict[str, Any], content: str) -> None:
    """Raise ``Refused`` unless these are the registered bytes."""
    if found["content"] != content:
        raise Refused(
            "content_differs",
            f"dataset:{found['dataset']}/{found['version']} is registered as {found['content']}, this is {content}.",
            next_step="give the registered file, or register a new version.", controls=CONTROLS,
        )  # fmt: skip


# ---------------------------------------------------------------- origins


def check_origin(text: str) -> None:
    """Raise ``Invalid`` with an example unless ``text`` is a URI of a specific thing or a catalogue's own id.

    Accepted: ``https://host/path`` (any scheme with a host), ``s3://bucket/key`` and its like, ``file:///path/file``,
    ``urn:``, ``doi:``. Refused: words ("publicly available data"), a host alone, a path of nothing but common words,
    a URI that carries a password.
    """
    words = text.strip()
    if not words:
        raise Invalid("origin is empty.", next_step=_ORIGIN)
    if any(p.fullmatch(words) for p in _CATALOGUE):
        return
    match = _URL.fullmatch(words)
    if match is None:
        raise Invalid("origin is vague: it is no URI and no catalogue's id.", next_step=_ORIGIN)
    scheme, host, path, query = match[1].lower(), match[2], match[3] or "", match[4] or ""
    if ":" in host.partition("@")[0] and "@" in host:
        raise Invalid("origin carries a password.", next_step="leave user and password out of the URI.")
    if scheme == "file":
        if host not in ("", "localhost"):
            raise Invalid(f"origin: file://{host} names a host.", next_step="write file:///folder/file.")
    elif not _good_host(scheme, host):
        raise Invalid(f"origin is vague: {host!r} is no host or bucket.", next_step=_ORIGIN)
    if not _specific(path, query):
        raise Invalid("origin is vague: it names a place, but nothing in it.", next_step=_ORIGIN)


def _good_host(scheme: str, host: str) -> bool:
    name = host.rpartition("@")[2]
    return bool((_HOST if scheme in ("http", "https", "ftp", "ftps", "sftp") else _BUCKET).fullmatch(name or host))


def _specific(path: str, query: str) -> bool:
    named = [part for part in path.split("/") if part.strip(".") and part.lower() not in _VAGUE]
    return bool(named) or len(query) > 2
