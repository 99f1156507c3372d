"""Reading the registry's tables: typed rows for the rules, plain answers for other areas."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from affidavit.core import canonical
from affidavit.core.area import ViewTx
from affidavit.core.errors import NotFound
from affidavit.core.ports import Row

T = TypeVar("T")
ANSWERS = (
    "version", "refs", "model", "system_of_model", "system", "live", "deployment", "plan_in_force", "evaluation",
)  # fmt: skip
"""What other areas may ask by ``registry.NAME``: the functions below of these names."""
_PACKED = frozenset(
    (
        "datasets",
        "hyperparameters",
        "metrics",
        "thresholds",
        "results",
        "verdicts",
        "gate",
        "code_list",
        "ranges",
        "bounds",
    )
)


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version; ``tampered`` is set until a later load verified again."""

    model: str
    number: int
    artifact: str
    files: int
    bytes: int
    format: str
    signature: str
    run: str
    datasets: list[str]
    started: str
    ended: str
    code: str
    environment: str
    hyperparameters: dict[str, str]
    metrics: dict[str, str]
    split: str
    author: str
    registrar: str
    accepted_risk: str | None
    at: str
    entry: int
    retired: str | None
    tampered: str | None
    drill: int

    @property
    def name(self) -> str:
        return f"{self.model}/{self.number}"


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation plan; in force once approved, until a later approval."""

    id: str
    model: str
    dataset: str
    split: str
    label: str
    cutoff: str
    thresholds: list[dict[str, str]]
    proposer: str
    proposed: str
    approver: str | None
    approved: str | None
    entry: int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A measured evaluation."""

    entry: int
    model: str
    number: int
    artifact: str
    plan: str
    dataset: str
    split: str
    label: str
    cutoff: str
    content: str
    index: str
    row_count: int
    seed: int
    code: str
    results: dict[str, str]
    verdicts: list[dict[str, Any]]
    predictions: str
    at: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for promotion: open, superseded, rejected or used."""

    id: str
    model: str
    number: int
    artifact: str
    target: str
    gate: list[dict[str, str]]
    gate_digest: str
    requester: str
    at: str
    state: str
    entry: int


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's approval of a request."""

    entry: int
    request: str
    principal: str
    role: str
    artifact: str
    gate_digest: str
    at: str
    expires: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waiver of one attribute for one version, as the evaluation or assessment ``measured`` found it."""

    id: str
    model: str
    number: int
    control: str
    attribute: str
    owner: str
    requester: str
    at: str
    expires: str
    measured: int | None
    approver: str | None
    approved: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A standing authorisation for retrains."""

    id: str
    model: str
    datasets: list[str]
    code_list: list[str]
    ranges: list[dict[str, str]]
    bounds: list[dict[str, str]]
    expires: str
    proposer: str
    at: str
    approver: str | None
    approved: str | None
    entry: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment into one environment; live while ``until`` is None."""

    id: str
    model: str
    number: int
    artifact: str
    env: str
    via: str
    gate: list[dict[str, str]]
    gate_digest: str
    request: str | None
    standing: str | None
    incident: str | None
    review_due: str | None
    deployer: str
    at: str
    until: str | None
    replaces: str | None
    reviewer: str | None
    reviewed: str | None
    verdict: str | None
    drill: int
    entry: int


def _typed(cls: type[T], row: Row) -> T:
    names: tuple[str, ...] = cls.__slots__  # type: ignore[attr-defined]
    values = (canonical.decode(x.encode()) if n in _PACKED else x for n, x in zip(names, row, strict=True))
    return cls(*values)


def _first(cls: type[T], row: Row | None) -> T | None:
    return _typed(cls, row) if row else None


def split_version(ref: str) -> tuple[str, int]:
    """(model, number) of ``employment/3``."""
    model, _, number = ref.partition("/")
    return model, int(number)


def find_version(v: ViewTx, model: str, number: int) -> Version | None:
    """The version, or None."""
    return _first(Version, v.one("SELECT * FROM {version} WHERE model = ? AND number = ?", model, number))


def known_version(v: ViewTx, ref: str) -> Version:
    """The version of ``employment/3``, or ``NotFound``."""
    model, number = split_version(ref)
    found = find_version(v, model, number)
    if found is None:
        raise NotFound(f"no version {ref}.", next_step=f"`affidavit registry versions {model}` lists them.")
    return found


def candidate_of(v: ViewTx, ref: str, to: str) -> tuple[str, int, str]:
    """(model, number, environment) of a wish to promote, or ``NotFound``."""
    found = known_version(v, ref)
    return found.model, found.number, to


def versions_of(v: ViewTx, model: str) -> list[Version]:
    """Every version of a model, oldest first."""
    return [_typed(Version, row) for row in v.rows("SELECT * FROM {version} WHERE model = ? ORDER BY number", model)]


def plan_of(v: ViewTx, plan_id: str) -> Plan | None:
    """The plan of this id, or None."""
    return _first(Plan, v.one("SELECT * FROM {plan} WHERE id = ?", plan_id))


def current_plan(v: ViewTx, model: str) -> Plan | None:
    """The plan in force for a model: the one approved last, or None."""
    sql = "SELECT * FROM {plan} WHERE model = ? AND approved IS NOT NULL ORDER BY entry DESC LIMIT 1"
    return _first(Plan, v.one(sql, model))


def latest_evaluation(v: ViewTx, version: Version, plan: str | None = None) -> Evaluation | None:
    """The newest evaluation of exactly this artifact (under this plan), or None."""
    sql = "SELECT * FROM {evaluation} WHERE model = ? AND number = ? AND artifact = ? AND plan = IFNULL(?, plan)"
    row = v.one(f"{sql} ORDER BY entry DESC LIMIT 1", version.model, version.number, version.artifact, plan)
    return _first(Evaluation, row)


def wish_of(v: ViewTx, request_id: str) -> Wish | None:
    """The request of this id, or None."""
    return _first(Wish, v.one("SELECT * FROM {request} WHERE id = ?", request_id))


def open_wish(v: ViewTx, version: Version, to: str) -> Wish | None:
    """The open request for a promotion, or None."""
    sql = "SELECT * FROM {request} WHERE model = ? AND number = ? AND target = ? AND state = 'open'"
    return _first(Wish, v.one(f"{sql} ORDER BY entry DESC LIMIT 1", version.model, version.number, to))


def approvals_of(v: ViewTx, request_id: str) -> list[Approval]:
    """The approvals of a request, oldest first."""
    return [
        _typed(Approval, r) for r in v.rows("SELECT * FROM {approval} WHERE request = ? ORDER BY entry", request_id)
    ]


def waiver_of(v: ViewTx, waiver_id: str) -> Waiver | None:
    """The waiver of this id, or None."""
    return _first(Waiver, v.one("SELECT * FROM {waiver} WHERE id = ?", waiver_id))


def waivers_in_force(v: ViewTx, version: Version, at: str) -> list[Waiver]:
    """Approved waivers of a version that have not expired at ``at`` (time text)."""
    sql = "SELECT * FROM {waiver} WHERE model = ? AND number = ? AND approved IS NOT NULL AND expires > ? ORDER BY id"
    return [_typed(Waiver, row) for row in v.rows(sql, version.model, version.number, at)]


def standing_of(v: ViewTx, standing_id: str) -> Standing | None:
    """The standing authorisation of this id, or None."""
    return _first(Standing, v.one("SELECT * FROM {standing} WHERE id = ?", standing_id))


def standings_in_force(v: ViewTx, model: str, at: str) -> list[Standing]:
    """Approved, unexpired authorisations of a model, newest first."""
    sql = "SELECT * FROM {standing} WHERE model = ? AND approved IS NOT NULL AND expires > ? ORDER BY entry DESC"
    return [_typed(Standing, row) for row in v.rows(sql, model, at)]


def deployment_of(v: ViewTx, deployment_id: str) -> Deployment | None:
    """The deployment of this id, or None."""
    return _first(Deployment, v.one("SELECT * FROM {deployment} WHERE id = ?", deployment_id))


def deployments(v: ViewTx, model: str, env: str | None = None) -> list[Deployment]:
    """Real deployments of a model (into one environment), oldest first; planted ones are left out."""
    sql = "SELECT * FROM {deployment} WHERE model = ? AND env = IFNULL(?, env) AND drill = 0 ORDER BY entry"
    return [_typed(Deployment, row) for row in v.rows(sql, model, env)]


def live_in(v: ViewTx, model: str, env: str) -> Deployment | None:
    """What serves an environment now, or None."""
    sql = "SELECT * FROM {deployment} WHERE model = ? AND env = ? AND until IS NULL AND drill = 0"
    return _first(Deployment, v.one(sql, model, env))


# ---------------------------------------------------------------- answers for other areas, as plain values


def version(v: ViewTx, model: str, number: int) -> dict[str, Any] | None:
    """Everything registered about a version, with its system; None if there is none."""
    found = find_version(v, model, number)
    return None if found is None else {**asdict(found), "system": system_of_model(v, model)}


def refs(v: ViewTx, model: str, number: int) -> tuple[str, ...]:
    """The references of a version: model, version, run, datasets, system. Raises ``NotFound``."""
    return refs_of(v, known_version(v, f"{model}/{number}"))


def refs_of(v: ViewTx, found: Version) -> tuple[str, ...]:
    """The references of a version at hand; the first names its stream."""
    system = system_of_model(v, found.model)
    lead = (f"model:{found.model}", f"model:{found.name}", f"run:{found.run}", *found.datasets)
    return (*lead, f"system:{system}") if system else lead


def model(v: ViewTx, name: str) -> dict[str, Any] | None:
    """A model's system and the number of its newest version (0: none yet)."""
    row = v.one("SELECT model, system, at FROM {model} WHERE model = ?", name)
    if row is None:
        return None
    newest = v.one("SELECT MAX(number) FROM {version} WHERE model = ?", name)
    return {"model": row[0], "system": row[1], "at": row[2], "versions": (newest[0] if newest else 0) or 0}


def system_of_model(v: ViewTx, name: str) -> str | None:
    """The system a model belongs to."""
    row = v.one("SELECT system FROM {model} WHERE model = ?", name)
    return row[0] if row else None


def system(v: ViewTx, name: str) -> dict[str, Any] | None:
    """A system's line in the register; ``purpose``, ``tier_reason`` and ``people`` are vault ids."""
    row = v.one("SELECT * FROM {system} WHERE system = ?", name)
    if row is None:
        return None
    names = ("system", "owner", "tier", "role", "jurisdictions", "purpose", "tier_reason", "people", "at", "entry")
    found = dict(zip(names, row, strict=True))
    found["jurisdictions"] = canonical.decode(found["jurisdictions"].encode())
    return found


def live(v: ViewTx, name: str, env: str) -> dict[str, Any] | None:
    """What serves an environment now: deployment, number, artifact, since when; None if nothing."""
    found = live_in(v, name, env)
    return asdict(found) if found else None


def deployment(v: ViewTx, deployment_id: str) -> dict[str, Any] | None:
    """A deployment by id."""
    found = deployment_of(v, deployment_id)
    return asdict(found) if found else None


def plan_in_force(v: ViewTx, name: str) -> dict[str, Any] | None:
    """The evaluation plan in force for a model."""
    found = current_plan(v, name)
    return asdict(found) if found else None


def evaluation(v: ViewTx, name: str, number: int) -> dict[str, Any] | None:
    """The newest evaluation of a version's artifact."""
    found = find_version(v, name, number)
    newest = latest_evaluation(v, found) if found else None
    return asdict(newest) if newest else None
