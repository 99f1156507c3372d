"""JSON Schema of the closed field types, so that OpenAPI says exactly what the codec takes."""

from __future__ import annotations

import types
from dataclasses import MISSING, is_dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from affidavit.core import codec, fields
from affidavit.core.canonical import MAX_INT
from affidavit.core.errors import Invalid
from affidavit.core.fields import Pattern, VaultText, Whole

Schema = dict[str, Any]
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
EXAMPLES: tuple[tuple[Any, str], ...] = (
    (fields.Token, "production"),
    (fields.Slug, "employment"),
    (fields.Ref, "model:employment/3"),
    (fields.Digest, "sha256:" + "0" * 64),
    (fields.Id, "019a0000-0000-7000-8000-000000000000"),
    (fields.Principal, "p-" + "0" * 32),
    (fields.Dec6, "0.812500"),
    (fields.VKey, "example.org/log+00000000+AAAA"),
    (fields.VersionRef, "employment/3"),
)
_EXAMPLE = {next(m for m in get_args(h) if isinstance(m, Pattern)).regex: text for h, text in EXAMPLES}


class Schemas:
    """Collects the named parts (nested dataclasses) while schemas are made."""

    def __init__(self) -> None:
        self.parts: dict[str, Schema] = {}

    def of_class(self, cls: type) -> Schema:
        """An object with the fields of a frozen dataclass and no others."""
        hints = get_type_hints(cls, include_extras=True)
        properties: dict[str, Schema] = {}
        for field in codec.plan(cls).fields:
            schema = self.of(hints[field.name])
            if field.default is not MISSING and field.default is not None:
                schema = schema | {"default": field.dump(field.default)}
            properties[field.name] = schema
        made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        required = [f.name for f in codec.plan(cls).fields if f.required]
        return made | ({"required": required} if required else {})

    def of(self, hint: Any) -> Schema:
        """The schema of one closed type. Raises ``Invalid`` for any other."""
        origin, args = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            return self.of(next(a for a in args if a is not type(None)))
        if origin is Annotated and is_dataclass(args[0]):
            return self.of(args[0])
        if origin is Annotated and args[0] is str:
            return _string(args[1])
        if hint is int or (origin is Annotated and args[0] is int):
            whole = next((m for m in args if isinstance(m, Whole)), None)
            return {"type": "integer", "minimum": whole.least if whole else -MAX_INT, "maximum": MAX_INT}
        if hint in _SIMPLE:
            return dict(_SIMPLE[hint])
        if origin is Literal:
            return {"type": "string", "enum": list(args), "examples": [args[0]]}
        if origin is tuple:
            return {"type": "array", "items": self.of(args[0])}
        if origin is dict:
            names = self.of(args[0])
            return {"type": "object", "propertyNames": names, "additionalProperties": self.of(args[1])}
        return self._part(hint)

    def _part(self, hint: Any) -> Schema:
        if not (isinstance(hint, type) and is_dataclass(hint)):
            raise Invalid(f"{hint!r} is not a closed field type.", next_step="use the types of affidavit.core.fields.")
        if hint.__name__ not in self.parts:
            says = (hint.__doc__ or "").strip().split("\n")[0]
            self.parts[hint.__name__] = self.of_class(hint) | {"description": says}
        return {"$ref": f"#/components/schemas/{hint.__name__}"}


_SIMPLE: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    datetime: {
        "type": "string",
        "pattern": TIME,
        "description": "UTC, milliseconds",
        "examples": ["2026-11-24T16:00:00.000Z"],
    },
    VaultText: {
        "type": "string", "minLength": 1, "maxLength": 4000, "pattern": r"\S", "writeOnly": True,
        "description": "private text: kept in the vault, never in the log", "examples": ["as agreed with the owner"],
    },
}  # fmt: skip


def _string(pattern: Pattern) -> Schema:
    if pattern is next(m for m in get_args(fields.LocalPath) if isinstance(m, Pattern)):
        uploaded = _string(next(m for m in get_args(fields.Digest) if isinstance(m, Pattern)))
        return uploaded | {"description": "the digest of an object uploaded by PUT /v1/objects"}
    schema: Schema = {
        "type": "string",
        "pattern": f"^(?:{pattern.regex})$",
        "maxLength": pattern.limit,
        "description": pattern.says,
    }
    example = _EXAMPLE.get(pattern.regex)
    return schema | ({"examples": [example]} if example else {})


def example_of(schema: Schema, parts: dict[str, Schema]) -> Any:
    """A value that fits a schema made here: for documentation."""
    if "$ref" in schema:
        return example_of(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "examples" in schema:
        return schema["examples"][0]
    if schema["type"] == "object":
        if "propertyNames" in schema:
            return {example_of(schema["propertyNames"], parts): example_of(schema["additionalProperties"], parts)}
        wanted = schema.get("required", [])
        return {name: example_of(schema["properties"][name], parts) for name in wanted}
    if schema["type"] == "array":
        return [example_of(schema["items"], parts)]
    return {"integer": max(1, schema.get("minimum", 1)), "boolean": True}.get(schema["type"], "x")
