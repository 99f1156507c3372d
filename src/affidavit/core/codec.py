"""Frozen dataclasses to and from JSON values, checked against the closed field types.

One compiled plan per class serves entries, commands, HTTP bodies and the schema lock. A class that
uses any other type (a bare ``str``, a float) is refused when its plan is compiled.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from affidavit.core.canonical import MAX_INT
from affidavit.core.errors import Invalid
from affidavit.core.fields import Attachment, Pattern, VaultText, Whole, check_text, parse_time, time_text

Check = Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a plan: how it is read and written, and how the schema names it."""

    name: str
    load: Check
    dump: Callable[[Any], Any]
    schema: str
    required: bool
    default: Any
    private: bool
    says: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled form of a class."""

    cls: type
    fields: tuple[Field, ...]

    @property
    def schema(self) -> list[str]:
        """One line per field, in order: what ``events.lock`` holds."""
        return [f"{f.name}{'' if f.required else '?'}: {f.schema}" for f in self.fields]


def bad(where: str, value: Any, says: str) -> Invalid:
    """The error for a field: names the field, shows the value, says what fits."""
    shown = repr(value)
    return Invalid(
        f"{where}: {shown if len(shown) <= 80 else shown[:77] + '...'} {says}.", next_step=f"correct {where}."
    )


def _string(rule: Pattern) -> Check:
    match, limit, any_script = re.compile(rule.regex).fullmatch, rule.limit, not rule.ascii

    def load(value: Any, where: str) -> str:
        if type(value) is str and len(value) <= limit and match(value) and (any_script or value.isascii()):
            return value
        raise bad(where, value, (rule.problem(value) if type(value) is str else None) or f"is not {rule.says}")

    return load


def _integer(least: int) -> Check:
    def load(value: Any, where: str) -> int:
        if type(value) is not int or not -MAX_INT <= value <= MAX_INT:
            raise bad(where, value, "is not an integer below 2**53")
        if value < least:
            raise bad(where, value, f"is below {least}")
        return value

    return load


def _choice(options: tuple[str, ...]) -> Check:
    def load(value: Any, where: str) -> str:
        if type(value) is not str or value not in options:
            raise bad(where, value, f"is none of {', '.join(options)}")
        return value

    return load


def _boolean(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise bad(where, value, "is neither true nor false")
    return value


def _time(value: Any, where: str) -> datetime:
    if type(value) is not str:
        raise bad(where, value, "is not a UTC time")
    return parse_time(value)


def _private(value: Any, where: str) -> VaultText:
    if isinstance(value, VaultText):
        return value
    if type(value) is not str:
        raise bad(where, "…", "is not text")
    check_text(where, value)
    return VaultText(text=value)


def _array(item: Check) -> Check:
    def load(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise bad(where, value, "is not a list")
        try:
            return tuple([item(v, where) for v in value])
        except Invalid:
            return tuple(item(v, f"{where}[{i}]") for i, v in enumerate(value))

    return load


def _mapping(key: Check, item: Check) -> Check:
    def load(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise bad(where, value, "is not a map")
        return {key(k, f"{where} key"): item(v, f"{where}.{k}") for k, v in value.items()}

    return load


def _same(value: Any) -> Any:
    return value


def _kind(hint: Any) -> tuple[Check, Callable[[Any], Any], str]:
    """(load, dump, schema) of one closed type, or ``Invalid``."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated and is_dataclass(args[0]):
        return _kind(args[0])
    if origin is Annotated and args[0] is str and isinstance(args[1], Pattern):
        return _string(args[1]), _same, f"str<{args[1].regex}|{args[1].limit}>"
    if hint is int or (origin is Annotated and args[0] is int and isinstance(args[1], Whole)):
        least = args[1].least if origin is Annotated else -MAX_INT
        return _integer(least), _same, f"int>={least}"
    if hint is bool:
        return _boolean, _same, "bool"
    if hint is datetime:
        return _time, time_text, "time"
    if hint is VaultText:
        return _private, _same, "vault"
    if origin is Literal and all(isinstance(a, str) for a in args):
        return _choice(cast("tuple[str, ...]", args)), _same, "enum<" + "|".join(args) + ">"
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        load, dump, schema = _kind(args[0])
        return _array(load), lambda v: [dump(i) for i in v], f"[{schema}]"
    if origin is dict:
        (key, _, kname), (load, dump, schema) = _kind(args[0]), _kind(args[1])
        return _mapping(key, load), lambda v: {k: dump(i) for k, i in v.items()}, f"{{{kname}: {schema}}}"
    if is_dataclass(hint) and isinstance(hint, type):
        inner = plan(hint)
        if any(f.private for f in inner.fields):
            raise Invalid(f"{hint.__name__} nests private text.", next_step="private text stands at the top level.")
        return (
            (lambda v, w: v if isinstance(v, hint) else load_object(hint, v, w)),
            dump_object,
            "{" + ", ".join(inner.schema) + "}",
        )
    raise Invalid(f"{hint!r} is not a closed field type.", next_step="use the types of affidavit.core.fields.")


def _words(hint: Any) -> str:
    """What fits, in words, for a string of a pattern; empty for other types."""
    args = get_args(hint)
    return args[1].says if get_origin(hint) is Annotated and len(args) > 1 and isinstance(args[1], Pattern) else ""


def plan(cls: type) -> Plan:
    """The plan of a frozen dataclass. Raises ``Invalid`` naming a field of a type that is not closed."""
    return _plan(cls)


@cache
def _plan(cls: Any) -> Plan:
    hints = get_type_hints(cls, include_extras=True)
    made = []
    for f in fields(cls):
        hint = hints[f.name]
        args = get_args(hint)
        optional = get_origin(hint) in (Union, types.UnionType) and type(None) in args
        if optional:
            hint = next(a for a in args if a is not type(None))
        try:
            load, dump, schema = _kind(hint)
        except Invalid as e:
            raise Invalid(f"{cls.__name__}.{f.name}: {e.problem}", next_step=e.next_step) from None
        # A request's field ``env`` stands over the property of that name, which ``dataclass`` takes for its default.
        default = None if optional else MISSING if isinstance(f.default, property) else f.default
        if default is MISSING and f.default_factory is not MISSING:
            default = f.default_factory()
        made.append(Field(f.name, load, dump, schema, default is MISSING, default, hint is VaultText, _words(hint)))
    return Plan(cls, tuple(made))


def load_object(cls: type, value: Any, where: str = "") -> Any:
    """An instance from a JSON object. Raises ``Invalid`` naming the missing, unknown or wrong field."""
    if type(value) is not dict and not isinstance(value, Mapping):
        raise bad(where or cls.__name__, value, "is not an object")
    lead = f"{where}." if where else ""
    found: list[Any] = []
    given = 0
    for name, load, required, default in _steps(cls):
        if name in value:
            given += 1
            found.append(load(value[name], lead + name))
        elif required:
            raise _missing(cls, name, where)
        else:
            found.append(default)
    if given != len(value):
        known = plan(cls).fields
        extra = set(value) - {f.name for f in known}
        names = ", ".join(f.name for f in known)
        raise Invalid(
            f"unknown field {min(map(str, extra))!r} in {where or cls.__name__}.", next_step=f"known: {names}."
        )
    return cls(*found)


@cache
def _steps(cls: Any) -> tuple[tuple[str, Check, bool, Any], ...]:
    return tuple((f.name, f.load, f.required, f.default) for f in plan(cls).fields)


def _missing(cls: type, name: str, where: str) -> Invalid:
    lead = f"{where}." if where else ""
    schema = next(f.schema for f in plan(cls).fields if f.name == name)
    return Invalid(f"{lead}{name} is missing.", next_step=f"give {lead}{name} ({schema}).")


def dump_object(value: Any) -> dict[str, Any]:
    """The JSON object of an instance without its private texts; a field that is None is left out."""
    dumped = {}
    for f in plan(type(value)).fields:
        item = getattr(value, f.name)
        if item is not None and not f.private:
            dumped[f.name] = f.dump(item)
    return dumped


def private_fields(value: Any) -> dict[str, VaultText]:
    """The private texts of an instance by field name."""
    found = {f.name: getattr(value, f.name) for f in plan(type(value)).fields if f.private}
    return {name: text for name, text in found.items() if text is not None}


def checked(value: Any) -> Any:
    """The instance again after every field passed its check (constructors do not check).

    Raises ``Invalid``. ``list`` values become tuples.
    """
    found = {}
    for f in plan(type(value)).fields:
        item = getattr(value, f.name)
        if item is None and not f.required:
            found[f.name] = f.default if f.default is not MISSING else None
        elif isinstance(item, datetime) and f.schema == "time":
            found[f.name] = parse_time(time_text(item))
        elif f.private:
            text = f.load(item, f.name)
            if text.text is not None:
                check_text(f.name, text.text)
            found[f.name] = text
        else:
            found[f.name] = f.load(f.dump(item) if _nested(item) else item, f.name)
    return type(value)(**found)


def _nested(item: Any) -> bool:
    return (
        is_dataclass(item)
        or (isinstance(item, (list, tuple)) and any(is_dataclass(i) or isinstance(i, datetime) for i in item))
        or (isinstance(item, dict) and any(is_dataclass(i) or isinstance(i, datetime) for i in item.values()))
    )


__all__ = ["Attachment", "Field", "Plan", "bad", "checked", "dump_object", "load_object", "plan", "private_fields"]
