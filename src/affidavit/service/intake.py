"""From what a door received (Python values, command-line strings, JSON) to a checked request."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from affidavit.core import canonical, codec
from affidavit.core.area import Request
from affidavit.core.codec import Field
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.fields import Attachment, Dec6, Upload, VaultText, dec6, read_time, time_text

if TYPE_CHECKING:
    from affidavit.service.workspace import Workspace

_DECIMAL = f"str<{get_args(Dec6)[1].regex}|{get_args(Dec6)[1].limit}>"
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_INT = re.compile(r"-?(0|[1-9][0-9]{0,15})", re.ASCII)


def upload_of(cls: type[Request], name: str) -> Upload | None:
    """The upload mark of a field, if it has one."""
    key: Any = cls
    return _upload_of(key, name)


@lru_cache
def _upload_of(cls: Any, name: str) -> Upload | None:
    hint = get_type_hints(cls, include_extras=True)[name]
    parts = get_args(hint) if get_origin(hint) is Union or "|" in str(hint) else (hint,)
    for part in parts:
        if get_origin(part) is Annotated:
            return next((m for m in get_args(part)[1:] if isinstance(m, Upload)), None)
    return None


def request_of(workspace: Workspace, cls: type[Request], given: dict[str, Any]) -> Request:
    """A request from Python values: ``datetime`` for times, ``str`` for texts, a path or bytes for an attachment."""
    value: dict[str, Any] = {}
    for field in codec.plan(cls).fields:
        if field.name in given and given[field.name] is not None:
            value[field.name] = _plain(workspace, cls, field, given[field.name])
    extra = {k: v for k, v in given.items() if k not in value and v is not None}
    loaded = codec.load_object(cls, {**value, **extra})
    if not isinstance(loaded, Request):
        raise Invalid(f"{cls.__name__} is no request.", next_step="use a command, query or measure.")
    return loaded


def _plain(workspace: Workspace, cls: type[Request], field: Field, value: Any) -> Any:
    mark = upload_of(cls, field.name)
    if mark is not None and not isinstance(value, (Attachment, dict)):
        return workspace.attach(_bytes(value), mark.type, mark.kind)
    return _json(value)


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, VaultText) or (is_dataclass(value) and not isinstance(value, type)):
        return value if isinstance(value, VaultText) else codec.dump_object(value)
    if isinstance(value, (list, tuple)):
        return [_json(v) for v in value]
    if isinstance(value, dict):
        return {k: _json(v) for k, v in value.items()}
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return Path(value).read_bytes()
    except (OSError, TypeError) as e:
        raise NotFound(f"{value} cannot be read: {e}.", next_step="give the path of a file.") from None


def text_value(field: Field, texts: list[str]) -> Any:
    """The JSON value of a command-line option: lists repeat it, maps take key=value, objects take JSON."""
    schema = field.schema
    if schema.startswith("["):
        return [_scalar(schema[1:-1], field.name, t) for t in texts]
    if schema.startswith("{") and "=" in texts[0] and not texts[0].startswith("{"):
        inner = schema[1:-1].rsplit(": ", 1)[1]
        pairs = [t.partition("=") for t in texts]
        if len({k for k, _, _ in pairs}) != len(pairs):
            raise Invalid(f"{field.name}: a key is given twice.", next_step="give each key once.")
        return {k: _scalar(inner, f"{field.name}.{k}", v) for k, _, v in pairs}
    if len(texts) > 1:
        raise Invalid(f"{field.name} is given {len(texts)} times.", next_step="give it once.")
    return _scalar(schema, field.name, texts[0])


def sample(schema: str) -> str:
    """How a value of a schema is written on the command line: ``KEY=VALUE`` for a map, JSON for an object."""
    if not schema.startswith("{"):
        return {"time": "2026-11-24", "bool": "true"}.get(
            schema, schema.split("<", maxsplit=1)[0].split(">", maxsplit=1)[0]
        )
    if schema.count(": ") == 1 and "<" in schema.split(": ", maxsplit=1)[0]:
        return "KEY=VALUE"
    names = re.findall(r"(?:^\{|, )(\w+)(\??): (\S+?)(?:<|>|,|\}|$)", schema)
    words = {"str": '"…"', "enum": '"…"', "int": "1", "bool": "true", "time": '"2026-11-24T00:00:00.000Z"'}
    return "{" + ", ".join(f'"{n}": {words.get(k.rstrip("<>=0123456789"), "[…]")}' for n, _, k in names) + "}"


def _scalar(schema: str, name: str, text: str) -> Any:
    if schema == "time":
        return time_text(read_time(text))
    if schema.startswith("int"):
        if not _INT.fullmatch(text):
            raise Invalid(f"{name}: {text!r} is not an integer.", next_step="write digits only.")
        return int(text)
    if schema == "bool":
        if text not in ("true", "false"):
            raise Invalid(f"{name}: {text!r} is neither true nor false.", next_step="write true or false.")
        return text == "true"
    if schema.startswith("{"):
        try:
            return canonical.parse(text.encode())
        except Invalid as e:
            raise Invalid(f"{name}: {e.problem}", next_step=f"write it as JSON: '{sample(schema)}'.") from None
    if schema == _DECIMAL and _NUMBER.fullmatch(text):
        return dec6(text)
    return text
