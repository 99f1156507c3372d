"""What every area must keep: closed types, locked tags, checks for controls, answers for errors."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from affidavit.areas.catalog import SYSTEM_FACTS, catalog
from affidavit.core import errors
from affidavit.core.codec import plan
from affidavit.core.envelope import known_facts, tag_of
from affidavit.core.errors import Invalid

ROOT = Path(__file__).resolve().parents[2]
AREAS = catalog().areas
REQUESTS = [(a.name, verb, cls) for a in AREAS.values() for verb, cls in a.requests().items()]


@pytest.mark.parametrize(("key", "cls"), sorted(known_facts().items()), ids=lambda x: str(x))
def test_facts_are_frozen_and_of_closed_types(key, cls):
    """No bare string gets into the log: every field of every fact is of a closed type."""
    assert is_dataclass(cls) and cls.__dataclass_params__.frozen
    assert plan(cls).schema is not None
    assert cls.__doc__


def test_a_bare_string_is_refused():
    """The closed-type check bites."""
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Loose:
        name: str

    with pytest.raises(Invalid, match="Loose.name"):
        plan(Loose)


def lock_of(classes) -> dict[str, list[str]]:
    return {f"{tag_of(c)} v{c.V}": plan(c).schema for c in sorted(classes, key=tag_of)}


LOCKS = {name: (a.facts, ROOT / f"src/affidavit/areas/{name}/events.lock") for name, a in AREAS.items()}
LOCKS["core"] = (SYSTEM_FACTS, ROOT / "src/affidavit/core/events.lock")


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_the_event_vocabulary_is_locked(name):
    """A tag keeps its fields for ever: fields are appended, never changed or taken away (scripts/lock_events.py)."""
    classes, file = LOCKS[name]
    locked = json.loads(file.read_text())
    found = lock_of(classes)
    assert set(locked) <= set(found), "a locked tag is gone"
    for key, schema in locked.items():
        assert found[key][: len(schema)] == schema, f"{key}: a locked field changed"
        assert all("?" in line.split(":")[0] for line in found[key][len(schema) :]), (
            f"{key}: an appended field must be optional"
        )
    assert set(found) == set(locked), f"run scripts/lock_events.py to lock {set(found) - set(locked)}"


@pytest.mark.parametrize("name", [n for n, a in AREAS.items() if a.checks])
def test_released_checks_are_frozen(name):
    """checks.lock holds the digest of every released check module; a change is a new version beside it."""
    file = ROOT / f"src/affidavit/areas/{name}/checks.lock"
    assert json.loads(file.read_text()) == {c.id: c.digest for c in catalog().controls.values() if c.area == name}


def test_every_control_has_every_attribute_and_maps():
    """The library is data: each control carries what an auditor tests it by."""
    for row in catalog().control_rows.values():
        assert row["attributes"] and row["statement"] and row["population"]["completeness"] and row["maps"]["soc2"]


@pytest.mark.parametrize("control", sorted(catalog().controls))
def test_the_known_bad_case_of_each_control_is_caught(control, clock):
    """Promise 3: a planted known-bad item deviates on the attribute it was planted for."""
    from affidavit.core.findings import Facts

    known = catalog().controls[control]
    item, facts, attribute = known.check.known_bad(clock.now())
    facts.parameters = catalog().parameter_defaults
    assert known.check.test(item, facts)[attribute].state == "deviation"
    assert isinstance(facts, Facts)


@pytest.mark.parametrize("control", sorted(catalog().controls))
def test_an_empty_ledger_never_passes(control, clock):
    """No facts give ``not evaluated`` or ``no population``, never ``pass``."""
    from datetime import timedelta

    from affidavit.core.assessment import Bench, assess
    from affidavit.core.findings import Facts, Period

    known = catalog().controls[control]
    bench = Bench(known.body, known.check, known.digest, catalog().parameter_defaults.get(control, {}))
    facts = Facts((), catalog().parameter_defaults)
    finding = assess(bench, facts, Period(clock.now(), clock.now() + timedelta(days=365)), 1)
    assert finding.headline in ("not evaluated", "no population")


@pytest.mark.parametrize(("area", "verb", "cls"), REQUESTS, ids=[f"{a}.{v}" for a, v, _ in REQUESTS])
def test_requests_are_documented_and_name_their_permission(area, verb, cls):
    """Each request has a summary and a permission of its area; its fields are closed types."""
    assert cls.summary().endswith(".") and len(cls.summary()) > 10
    assert cls.permission.startswith(area + ".")
    assert plan(cls) is not None
    assert verb == cls.verb


def test_every_error_has_an_exit_code():
    """The tree is covered: a new error class needs an exit code."""
    from affidavit.cli.main import EXIT_CODES

    leaves = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.AffidavitError)]
    assert {c for c in leaves if c is not errors.AffidavitError} == set(EXIT_CODES)


def test_every_area_has_a_line_in_the_help():
    """``affidavit --help`` knows every area without importing one."""
    from affidavit.cli.main import AREAS as LISTED

    assert list(LISTED) == list(AREAS)


def test_public_functions_and_classes_say_what_they_promise():
    """Every public class and function has a docstring whose first line is a claim."""
    import ast

    silent = []
    for path in (ROOT / "src/affidavit").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if (
                isinstance(node, (ast.ClassDef, ast.FunctionDef))
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
            ):
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert silent == []


def test_dataclass_defaults_keep_entries_small():
    """A field added later is optional, so that old entries still decode."""
    for cls in known_facts().values():
        seen_optional = False
        for field in plan(cls).fields:
            seen_optional |= not field.required
            assert not (seen_optional and field.required), (
                f"{cls.__name__}.{field.name} is required after an optional field"
            )
        assert fields(cls)


def test_every_mapping_leads_to_a_requirement():
    """The library maps controls to requirement ids that stand in frameworks.yaml; none dangles, all 535 are there."""
    from affidavit.areas.catalog import frameworks

    known = {key: {str(r["id"]) for r in body["requirements"]} for key, body in frameworks().items()}
    assert sum(len(ids) for ids in known.values()) == 535
    for row in catalog().control_rows.values():
        for key, ids in row["maps"].items():
            assert set(map(str, ids)) <= known[key], f"{row['id']}: {key}"
