"""Sample values of every closed field type, in the three spellings of the three doors."""

from __future__ import annotations

import json
import types
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, given, seed, settings

from affidavit.core import codec, fields
from affidavit.core.fields import Attachment, Pattern, Upload, VaultText, Whole, time_text

PRIVATE = ("Jane Müller", "two\nlines\tand a tab", "a = b, {c: 1}", "√ 2 ≈ 1.41")


@dataclass(frozen=True)
class Sample:
    """One value: for Python, for JSON, and as the texts of a command-line option. ``file`` is to be uploaded."""

    python: Any
    json: Any
    texts: tuple[str, ...]
    file: bytes | None = None


@cache
def strings(pattern: Pattern, number: int) -> list[str]:
    """Different strings of a pattern, the same in every run."""
    found: list[str] = []
    strategy = st.from_regex(pattern.regex, fullmatch=True).filter(lambda t: pattern.problem(t) is None)

    @seed(7)
    @settings(
        max_examples=3 * number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(text: str) -> None:
        found.append(text)

    draw()
    return list(dict.fromkeys(found))[:number]


def sample(hint: Any, random: Random, *, key: bool = False) -> Sample:
    """A value of one closed type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return sample(next(a for a in args if a is not type(None)), random)
    if origin is Annotated and args[0] is Attachment:
        mark = next((m for m in args[1:] if isinstance(m, Upload)), None)
        return Sample(None, mark, (), f"version: 1 # {random.random()}\n".encode())
    if hint == fields.LocalPath:
        hint = fields.Digest
        args = get_args(hint)
    if get_origin(hint) is Annotated and args[0] is str:
        drawn = strings(args[1], 12)
        text = random.choice([t for t in drawn if not (key and "=" in t) and not t.startswith("{")])
        return Sample(text, text, (text,))
    if hint is int or (origin is Annotated and args[0] is int):
        least = next((m.least for m in args if isinstance(m, Whole)), -5)
        number = random.choice([least, least + 7, 2**53 - 1])
        return Sample(number, number, (str(number),))
    if hint is bool:
        value = random.random() < 0.5
        return Sample(value, value, (str(value).lower(),))
    if hint is datetime:
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=random.randrange(10**10))
        return Sample(at, time_text(at), (at.isoformat(),))
    if hint is VaultText:
        text = random.choice(PRIVATE)
        return Sample(text, text, (text,))
    if origin is Literal:
        choice = random.choice(args)
        return Sample(choice, choice, (choice,))
    if origin is tuple:
        items = [sample(args[0], random) for _ in range(random.randrange(1, 4))]
        return Sample(tuple(i.python for i in items), [i.json for i in items], tuple(i.texts[0] for i in items))
    if origin is dict:
        pairs = {sample(args[0], random, key=True).json: sample(args[1], random) for _ in range(random.randrange(1, 4))}
        texts = tuple(f"{k}={v.texts[0]}" for k, v in pairs.items())
        return Sample({k: v.python for k, v in pairs.items()}, {k: v.json for k, v in pairs.items()}, texts)
    assert isinstance(hint, type)
    assert is_dataclass(hint), hint
    inner = fill(hint, random)
    value = {n: s.json for n, s in inner.items()}
    return Sample(hint(**{n: s.python for n, s in inner.items()}), value, (json.dumps(value),))


def fill(cls: type, random: Random, *, optional: bool = True) -> dict[str, Sample]:
    """A sample for every field of a class; without the optional ones if asked."""
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: sample(hints[f.name], random) for f in codec.plan(cls).fields if f.required or optional}
