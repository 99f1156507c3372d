"""The rules in force, as values: what ``rules.yaml`` says once it was adopted.

Parsing the text is the caller's (``service``); this module checks the shape and answers questions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from affidavit.core.errors import Invalid
from affidavit.core.fields import parse_duration

_NEXT = "correct rules.yaml; `affidavit access rules` prints the text in force."
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_KEYS = {
    "version", "environments", "roles", "transitions", "separation", "break_glass", "standing", "parameters",
    "calendar", "retention", "recorder", "escalation", "fairness_scope",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Approvals:
    """``n`` approvals by holders of one of ``roles``; each stands for ``expires``."""

    n: int
    roles: tuple[str, ...]
    expires: timedelta


@dataclass(frozen=True, slots=True)
class Transition:
    """What a promotion into an environment needs: where from, which control attributes, whose approval."""

    to: str
    source: str
    checks: dict[str, tuple[str, ...]]
    approvals: Approvals


@dataclass(frozen=True, slots=True)
class Calendar:
    """Business days in a time zone."""

    business_days: tuple[str, ...]
    zone: str
    holidays: frozenset[date]

    def due(self, start: datetime, within: timedelta, *, business: bool) -> datetime:
        """``start`` plus ``within``; business counting skips whole days that are not worked.

        Only the days of ``within`` are counted in business days; its hours are added as they are.
        """
        if not business:
            return start + within
        local = start.astimezone(ZoneInfo(self.zone))
        left = within.days
        while left:
            local += timedelta(days=1)
            if _DAYS[local.weekday()] in self.business_days and local.date() not in self.holidays:
                left -= 1
        return (local + timedelta(seconds=within.seconds)).astimezone(start.tzinfo)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long records of a class stay: destroyed after ``keep``, never before ``at_least`` (None: the control's minimum)."""

    keep: timedelta
    at_least: timedelta | None


@dataclass(frozen=True, slots=True)
class Rules:
    """The adopted rules. ``digest`` is that of their text; the text itself is an attachment of the entry."""

    digest: str
    environments: tuple[str, ...]
    roles: dict[str, tuple[str, ...]]
    transitions: dict[str, Transition]
    separation: tuple[tuple[str, str], ...]
    parameters: dict[str, dict[str, Any]]
    calendar: Calendar
    body: Mapping[str, Any]
    retention: dict[str, Retention] = field(default_factory=dict)

    def allows(self, roles: tuple[str, ...], permission: str) -> bool:
        """Whether one of ``roles`` carries ``permission`` (``registry.*`` covers the area)."""
        area = permission.split(".", maxsplit=1)[0] + ".*"
        return any(p in (permission, area, "*") for r in roles for p in self.roles.get(r, ()))

    def separated(self, one: str, other: str) -> bool:
        """Whether the duties ``one`` and ``other`` (``author``, ``approver``) may not meet in a person."""
        return (one, other) in self.separation or (other, one) in self.separation

    def transition(self, to: str) -> Transition:
        """The rule of promotion into ``to``. Raises ``Invalid`` naming the environments that have one."""
        if to not in self.transitions:
            known = ", ".join(self.transitions) or "none"
            raise Invalid(f"no transition leads to {to!r}.", next_step=f"environments to promote into: {known}.")
        return self.transitions[to]

    def duration(self, section: str, key: str) -> timedelta:
        """A duration such as ``break_glass.review_within``. Raises ``Invalid`` if absent."""
        return parse_duration(_get(self.body, section, key))

    def value(self, section: str, key: str) -> Any:
        """Any setting by section and key. Raises ``Invalid`` if absent."""
        return _get(self.body, section, key)


def _get(body: Mapping[str, Any], section: str, key: str) -> Any:
    part = body.get(section)
    if not isinstance(part, Mapping) or key not in part:
        raise Invalid(f"the rules have no {section}.{key}.", next_step=_NEXT)
    return part[key]


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise Invalid(f"{where}: {value!r} is not a list of names.", next_step=_NEXT)
    return tuple(value)


def _map(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
        raise Invalid(f"{where}: {value!r} is not a map.", next_step=_NEXT)
    return value


def _transition(to: str, value: Any, environments: tuple[str, ...], roles: Mapping[str, Any]) -> Transition:
    body = _map(value, f"transitions.{to}")
    source = body.get("from")
    if to not in environments or source not in environments:
        raise Invalid(f"transitions.{to} leads from {source!r} to {to!r}: unknown environment.", next_step=_NEXT)
    approvals = _map(body.get("approvals", {"n": 0, "roles": [], "expires": "P1D"}), f"transitions.{to}.approvals")
    n, names = approvals.get("n"), _strings(approvals.get("roles", []), f"transitions.{to}.approvals.roles")
    if type(n) is not int or not 0 <= n <= 10:
        raise Invalid(f"transitions.{to}.approvals.n: {n!r} is not 0 to 10.", next_step=_NEXT)
    if unknown := [r for r in names if r not in roles]:
        raise Invalid(
            f"transitions.{to}.approvals names the role {unknown[0]!r}, which has no entry under roles.",
            next_step=_NEXT,
        )
    if n and not names:
        raise Invalid(f"transitions.{to}.approvals asks for {n} approvals and names no role.", next_step=_NEXT)
    checks = {
        c: _strings(a, f"transitions.{to}.checks.{c}")
        for c, a in _map(body.get("checks", {}), f"transitions.{to}.checks").items()
    }
    return Transition(to, source, checks, Approvals(n, names, parse_duration(approvals.get("expires", "P14D"))))


_NUMBER = re.compile(r"(0|[1-9]\d{0,11})(\.\d{1,6})?", re.ASCII)
TIERS = ("minimal", "limited", "high", "prohibited")


def _same_kind(where: str, value: Any, default: Any) -> None:
    """A parameter is of the kind of its default: a duration, a decimal string, or a list of risk tiers."""
    if isinstance(default, list):
        unknown = [v for v in _strings(value, where) if v not in TIERS]
        if unknown:
            raise Invalid(f"{where}: {unknown[0]!r} is no risk tier.", next_step=f"tiers: {', '.join(TIERS)}.")
    elif isinstance(default, str) and default.startswith("P"):
        parse_duration(value)
    elif not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise Invalid(f'{where}: {value!r} is no decimal string such as "0.05".', next_step=_NEXT)


def _calendar(value: Any) -> Calendar:
    body = _map(value, "calendar")
    days = _strings(body.get("business_days", list(_DAYS[:5])), "calendar.business_days")
    if not days or not set(days) <= set(_DAYS):
        raise Invalid(f"calendar.business_days: {days!r}; use mon to sun.", next_step=_NEXT)
    zone = body.get("time_zone", "UTC")
    try:
        ZoneInfo(zone)
        holidays = frozenset(date.fromisoformat(str(d)) for d in body.get("holidays", []))
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as e:
        raise Invalid(f"calendar: {e}.", next_step=_NEXT) from None
    return Calendar(days, zone, holidays)


RECORD_CLASSES = ("decisions", "groups", "outcomes", "explanations", "actions", "reads", "heartbeats")


def _retention(value: Any) -> dict[str, Retention]:
    """``{decisions: {keep: P730D, at_least: P183D}}``: by record class; a class without a line is kept for good."""
    found = {}
    for name, given in _map(value, "retention").items():
        where, body = f"retention.{name}", _map(given, f"retention.{name}")
        if name not in RECORD_CLASSES:
            raise Invalid(f"{where}: no such record class.", next_step=f"classes: {', '.join(RECORD_CLASSES)}.")
        if extra := sorted(set(body) - {"keep", "at_least"}):
            raise Invalid(f"{where}: unknown key {extra[0]!r}.", next_step="a class has keep and at_least.")
        keep = parse_duration(_get({name: body}, name, "keep"))
        at_least = parse_duration(body["at_least"]) if "at_least" in body else None
        if keep < (at_least or timedelta(seconds=1)):
            raise Invalid(f"{where}: keep {body['keep']} is shorter than at_least.", next_step=_NEXT)
        found[name] = Retention(keep, at_least)
    return found


def rules_of(value: Any, digest: str, defaults: Mapping[str, Mapping[str, Any]]) -> Rules:
    """The rules of a parsed ``rules.yaml``; ``defaults`` are the parameters of the control library.

    Raises ``Invalid`` naming the key that is unknown, missing or wrong.
    """
    body = _map(value, "rules.yaml")
    if extra := sorted(set(body) - _KEYS):
        raise Invalid(f"rules.yaml: unknown key {extra[0]!r}.", next_step=_NEXT)
    environments = _strings(body.get("environments"), "environments")
    roles = {r: _strings(p, f"roles.{r}") for r, p in _map(body.get("roles"), "roles").items()}
    transitions = {
        t: _transition(t, v, environments, roles) for t, v in _map(body.get("transitions", {}), "transitions").items()
    }
    pairs = [_strings(p, "separation") for p in body.get("separation", [])]
    if any(len(p) != 2 for p in pairs):
        raise Invalid("separation: each line names two duties, such as [author, approver].", next_step=_NEXT)
    given = _map(body.get("parameters", {}), "parameters")
    parameters = {c: dict(p) for c, p in defaults.items()}
    for control, values in given.items():
        for name, setting in _map(values, f"parameters.{control}").items():
            if name not in parameters.get(control, {}):
                raise Invalid(f"parameters.{control}.{name}: no such parameter.", next_step=_NEXT)
            _same_kind(f"parameters.{control}.{name}", setting, parameters[control][name])
            parameters[control][name] = setting
    return Rules(
        digest, environments, roles, transitions, tuple((p[0], p[1]) for p in pairs), parameters,
        _calendar(body.get("calendar", {})), body, _retention(body.get("retention", {})),
    )  # fmt: skip
