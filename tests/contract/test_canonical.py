"""Canonical JSON: one byte form, the same in json, orjson and JCS within the profile."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affidavit.core import canonical
from affidavit.core.errors import Invalid

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_orjson_json_and_ours_agree_within_the_profile(value):
    """The profile is where every serialiser gives the same bytes."""
    body = canonical.encode(value)
    assert body == orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    assert canonical.decode(body) == value == json.loads(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a":1,"a":1}', "a repeated key"),
        (b'{"b":1,"a":1}', "keys out of order"),
        (b'{"a": 1}', "space"),
        (b'{"a":1.0}', "a float"),
        (b'{"a":1e3}', "an exponent"),
        (b'{"a":NaN}', "not a number"),
        (b'{"a":9007199254740992}', "2**53"),
        (b'{"a":-9007199254740992}', "-2**53"),
        (b'{"a":"\\u0041"}', "an escape that is not needed"),
        (b'{"a":"\\ud800"}', "a lone surrogate"),
        ('{"é":1}'.encode(), "a key that is not ASCII"),
        (b'"a"\n', "a trailing newline"),
        (b"\xef\xbb\xbf1", "a byte order mark"),
        (b'{"a":-0}', "minus zero"),
        (b'{"a":01}', "a leading zero"),
        (b"\xff", "no UTF-8"),
        (b"", "nothing"),
        (b"[" * 5000 + b"]" * 5000, "deep nesting"),
    ],
)
def test_bytes_off_the_profile_are_refused(body, why):
    """Whatever is not the one canonical form is refused: {why}."""
    with pytest.raises(Invalid):
        canonical.decode(body)


@pytest.mark.parametrize("value", [1.5, {1: 2}, {"é": 1}, object(), b"x", 2**53, {"a": {"b": float("nan")}}, "\ud800"])
def test_values_without_a_form_are_refused(value):
    """No float, no odd key, no foreign type gets into an entry."""
    with pytest.raises(Invalid):
        canonical.encode(value)


def test_free_spelling_is_read_at_the_doors_and_repeated_keys_are_not():
    """HTTP bodies may be spaced and unordered; a repeated key is still refused."""
    assert canonical.parse(b' {"b": 1, "a": [true, null]} ') == {"a": [True, None], "b": 1}
    for body in (b'{"a":1,"a":2}', b'{"a":1.5}', b"nonsense", b"[" * 200_001):
        with pytest.raises(Invalid):
            canonical.parse(body)
