"""Messages between caller and child: JSON with arrays beside it as plain bytes. Nothing that runs code when read.

A message is a u64 length, then a u32 length of the JSON, the JSON, and the arrays end to end (big-endian lengths).
An array stands in the JSON as ``{"$array": [dtype, shape]}``; only numbers and truth values travel so.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

from affidavit.core.errors import Invalid

_TOTAL, _JSON = struct.Struct(">Q"), struct.Struct(">I")
_KINDS = "fiub"
_MARK = "$array"


def encode(value: Any) -> bytes:
    """A message. ``value`` is made of dicts, lists, text, numbers, None and NumPy arrays of numbers."""
    arrays: list[bytes] = []
    body = json.dumps(_out(value, arrays)).encode()
    rest = b"".join(arrays)
    return _TOTAL.pack(_JSON.size + len(body) + len(rest)) + _JSON.pack(len(body)) + body + rest


def _out(value: Any, arrays: list[bytes]) -> Any:
    if isinstance(value, dict):
        return {str(k): _out(v, arrays) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_out(v, arrays) for v in value]
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return value
    if not getattr(value, "shape", ()):
        return value.item()
    if dtype.kind not in _KINDS:
        raise Invalid(f"an array of {dtype} does not travel.", next_step="send it as a list.")
    arrays.append(value.tobytes())
    return {_MARK: [dtype.newbyteorder("<").str if dtype.byteorder == ">" else dtype.str, list(value.shape)]}


def read(source: Callable[[int], bytes], limit: int) -> Any:
    """The next message of a pipe, None at its end. Raises ``Invalid`` for one that is cut, off form or over ``limit`` bytes."""
    head = _exactly(source, _TOTAL.size)
    if not head:
        return None
    size = _TOTAL.unpack(head)[0] if len(head) == _TOTAL.size else limit + 1
    if size > limit:
        raise Invalid(f"a message of {size} bytes; at most {limit}.", next_step="ask for less, or raise the limit.")
    body = _exactly(source, size)
    if len(body) != size:
        raise Invalid("a message is cut.", next_step="run it again.")
    return decode(body)


def _exactly(source: Callable[[int], bytes], size: int) -> bytes:
    parts, left = [], size
    while left:
        part = source(min(left, 1 << 20))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def decode(body: bytes) -> Any:
    """The value of a message without its length. Raises ``Invalid``."""
    try:
        size = _JSON.unpack_from(body)[0]
        value = json.loads(body[_JSON.size : _JSON.size + size])
        return _in(value, _Rest(body, _JSON.size + size))
    except (ValueError, TypeError, RecursionError, struct.error) as e:
        raise Invalid(f"a message is off form: {type(e).__name__}.", next_step="run it again.") from None


class _Rest:
    """The bytes after the JSON, taken from the front."""

    def __init__(self, body: bytes, at: int) -> None:
        self._body, self._at = body, at

    def take(self, size: int) -> bytes:
        part = self._body[self._at : self._at + size]
        if len(part) != size:
            raise ValueError("an array is cut")
        self._at += size
        return part


def _in(value: Any, rest: _Rest) -> Any:
    if isinstance(value, list):
        return [_in(v, rest) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {_MARK}:
        return {k: _in(v, rest) for k, v in value.items()}
    import numpy as np

    name, shape = value[_MARK]
    dtype = np.dtype(name)
    if dtype.kind not in _KINDS or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array of another kind")
    return np.frombuffer(rest.take(dtype.itemsize * math.prod(shape)), dtype).reshape(shape)
