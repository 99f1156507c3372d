"""Canonical JSON: the one byte form of an entry, a command, a manifest. [bytes]

A profile of JCS (RFC 8785): objects with ASCII keys sorted by code point, no floats, integers below
2**53, no repeated keys, no insignificant space, UTF-8. Within the profile ``json``, ``orjson`` and
any JCS implementation give the same bytes (``tests/contract/test_canonical.py`` pins that).
"""

from __future__ import annotations

import json
import re
from typing import Any

from affidavit.core.errors import Invalid

MAX_INT = 2**53 - 1
MAX_DEPTH = 32
_NEXT = "send the canonical form (see docs/spec/entries.md)."
_dumps = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def encode(value: Any) -> bytes:
    """The canonical bytes of a value made of dict, list, tuple, str, int, bool and None.

    Raises ``Invalid`` for a float, a key that is not ASCII, an integer of 2**53 or more, a lone
    surrogate, or nesting deeper than 32.
    """
    _check(value, 0)
    try:
        return _dumps(value).encode()
    except (UnicodeEncodeError, RecursionError) as e:
        raise Invalid(f"a string holds a lone surrogate: {e}.", next_step="send valid Unicode.") from None


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -MAX_INT <= value <= MAX_INT:
            raise Invalid(f"the integer {value} is not below 2**53.", next_step="send it as a decimal string.")
    elif depth >= MAX_DEPTH:
        raise Invalid(f"the value is nested deeper than {MAX_DEPTH}.", next_step=_NEXT)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                raise Invalid(f"the key {key!r} is not ASCII text.", next_step=_NEXT)
            _check(item, depth + 1)
    elif kind is list or kind is tuple:
        for item in value:
            _check(item, depth + 1)
    else:
        raise Invalid(f"{value!r} ({kind.__name__}) has no canonical form.", next_step=_NEXT)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Invalid(f"a key is repeated among {sorted(k for k, _ in pairs)}.", next_step=_NEXT)
    return found


def _no_float(text: str) -> Any:
    raise Invalid(f"the number {text} is not an integer.", next_step="send a decimal string.")


_strict = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float)
_plain = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float)
_deep = re.compile(rb"[\[{]")


def parse(body: bytes) -> Any:
    """A value from JSON in any spelling (HTTP bodies): same profile, but spacing and key order are free.

    Raises ``Invalid``.
    """
    try:
        text = body.decode()
        if len(_deep.findall(body)) > 100_000:
            raise Invalid("the JSON has more than 100,000 containers.", next_step="send less at once.")
        value = _strict.decode(text)
    except RecursionError:
        raise Invalid(f"the JSON is nested deeper than {MAX_DEPTH}.", next_step=_NEXT) from None
    except ValueError as e:
        raise Invalid(f"not JSON: {e}.", next_step=_NEXT) from None
    _check(value, 0)
    return value


def parse_plain(body: bytes) -> Any:
    """The value of bytes known to be canonical, without proving it again. Raises ``Invalid`` if they are no JSON."""
    try:
        return _plain.decode(body.decode())
    except (ValueError, RecursionError) as e:
        raise Invalid(f"not canonical JSON: {e}.", next_step=_NEXT) from None


def decode(body: bytes) -> Any:
    """The value of canonical bytes. Raises ``Invalid`` unless re-encoding gives the same bytes.

    The comparison also catches a repeated key: the re-encoding is shorter.
    """
    try:
        value = _plain.decode(body.decode())
        same = encode(value) == body
    except RecursionError:
        raise Invalid(f"nested deeper than {MAX_DEPTH}.", next_step=_NEXT) from None
    except ValueError as e:
        raise Invalid(f"not canonical JSON: {e}.", next_step=_NEXT) from None
    if not same:
        raise Invalid("the bytes are JSON but not in canonical form.", next_step=_NEXT)
    return value
