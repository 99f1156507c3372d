"""Populations, outcomes and findings: what a control test takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from affidavit.core.envelope import Record
from affidavit.core.errors import Invalid

State = Literal["pass", "deviation", "not_applicable", "not_tested"]
Status = Literal["pass", "exception", "not evaluated", "no population"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Period:
    """``start <= at < end``, UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise Invalid(
                f"the period ends {self.end} before it starts {self.start}.", next_step="swap --from and --to."
            )

    def holds(self, at: datetime) -> bool:
        """Whether ``at`` lies in the period."""
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class Item:
    """One element of a population: its key, when it happened, what it refers to, its entries."""

    key: str
    at: datetime
    refs: tuple[str, ...]
    entries: tuple[int, ...]
    drill: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attribute on one item. ``not_applicable`` and ``not_tested`` need a reason."""

    state: State
    reason: str = ""
    entries: tuple[int, ...] = ()


def passed(*records: Record) -> Outcome:
    """Met, on the evidence of these entries."""
    return Outcome("pass", "", tuple(r.index for r in records))


def deviation(reason: str, *records: Record) -> Outcome:
    """Not met: the reason in one sentence."""
    return Outcome("deviation", reason, tuple(r.index for r in records))


def not_applicable(reason: str, *records: Record) -> Outcome:
    """The attribute does not apply to this item, because …"""
    return Outcome("not_applicable", reason, tuple(r.index for r in records))


def not_tested(reason: str) -> Outcome:
    """The source or the fact is not there yet: blocks a clean conclusion."""
    return Outcome("not_tested", reason)


class Facts:
    """The facts of a log that checks read, typed, in log order, indexed by class and reference.

    ``parameters`` are those management confirmed, per control id; ``rules`` in force are read by ``rules_at``.
    """

    def __init__(
        self, records: Iterable[Record] = (), parameters: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.parameters = dict(parameters or {})
        self._by_class: dict[type, list[Record]] = {}
        self._by_ref: dict[tuple[str, type], list[Record]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Take in the next record of the log."""
        cls = type(record.fact)
        self._by_class.setdefault(cls, []).append(record)
        for ref in record.head.refs:
            self._by_ref.setdefault((ref, cls), []).append(record)

    def all(self, cls: type) -> list[Record]:
        """Every record of a fact class, in log order."""
        return self._by_class.get(cls, [])

    def about(self, ref: str, *classes: type) -> list[Record]:
        """Records of these classes that name ``ref``, in log order."""
        found = [r for cls in classes for r in self._by_ref.get((ref, cls), [])]
        return found if len(classes) == 1 else sorted(found, key=lambda r: r.index)

    def parameter(self, control: str, name: str) -> Any:
        """The confirmed value of a control's parameter, or ``Invalid``."""
        try:
            return self.parameters[control][name]
        except KeyError:
            raise Invalid(f"{control} has no parameter {name}.", next_step="declare it in controls.yaml.") from None


Population = Callable[[Facts, Period], list[Item]]
Test = Callable[[Item, Facts], dict[str, Outcome]]


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether the population is whole: proven how, and against which other source."""

    proven: bool
    how: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """The test of one control: which facts it reads, its population, its test per item.

    ``known_bad`` plants an item that must deviate (the control's design test) and names the attribute.
    ``candidates`` turns a promotion that is asked for into this control's own items: a gate runs the
    same ``test`` on them. The candidate's refs are those of the version (``model:m/3``, ``run:…``,
    ``dataset:…``) and ``env:<to>``.
    """

    control: str
    needs: tuple[type, ...]
    population: Population
    test: Test
    completeness: Callable[[Facts, Period, list[Item]], Completeness]
    known_bad: Callable[[datetime], tuple[Item, Facts, str]]
    candidates: Callable[[Item, Facts], list[Item]] = lambda item, facts: [item]  # noqa: ARG005


@dataclass(frozen=True, slots=True)
class ItemException:
    """One item that deviates from one control, with every attribute that failed."""

    item: str
    at: datetime
    refs: tuple[str, ...]
    attributes: dict[str, str]
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one control over one period. Exceptions are shown whatever the rest."""

    control: str
    title: str
    version: str
    period: Period
    as_of: int
    operating: Status
    design: Status
    n: int
    population_sha256: str
    query: str
    completeness: Completeness
    exceptions: tuple[ItemException, ...]
    missed: tuple[str, ...]
    untested: dict[str, str]
    drills: tuple[int, ...]
    check_digest: str
    parameter_digest: str
    grid: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    items: tuple[Item, ...] = ()

    @property
    def headline(self) -> Status:
        """``pass`` only when operating and design both pass; an exception in either shows."""
        if "exception" in (self.operating, self.design):
            return "exception"
        return self.operating if self.operating != "pass" else self.design


def operating_status(n: int, deviations: int, missed: int, untested: int, *, complete: bool) -> Status:
    """The operating result by the rule of precedence: an exception first, then what is unknown."""
    if deviations or missed:
        return "exception"
    if untested or not complete:
        return "not evaluated"
    return "pass" if n else "no population"
