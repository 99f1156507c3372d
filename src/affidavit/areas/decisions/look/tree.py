"""A JSON value as a tree for a terminal; control characters in recorded text never reach it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from affidavit.streams.plain import in_words


def lines(value: dict[str, Any]) -> Iterator[str]:
    """The lines of a trace: the decision, then a branch for each part."""
    yield f"decision {in_words(value.get('decision'))}"
    yield from _branches([(k, v) for k, v in value.items() if k != "decision"], "")


def _branches(items: list[tuple[str, Any]], indent: str) -> Iterator[str]:
    for number, (name, value) in enumerate(items):
        last = number == len(items) - 1
        head, below = f"{indent}{'└─ ' if last else '├─ '}", f"{indent}{'   ' if last else '│  '}"
        inner = _inner(value)
        label = in_words(name)
        if inner is None:
            yield f"{head}{label}: {in_words(value)}"
        else:
            yield f"{head}{label}"
            yield from _branches(inner, below)


def _inner(value: Any) -> list[tuple[str, Any]] | None:
    """The children of a value; None for a leaf. An empty list or map is a leaf."""
    if isinstance(value, dict) and value:
        return [(str(k), v) for k, v in value.items()]
    if isinstance(value, list) and value:
        if all(not isinstance(v, (dict, list)) for v in value):
            return [(str(n + 1), v) for n, v in enumerate(value)]
        return [(_title(n, v), v) for n, v in enumerate(value)]
    return None


def _title(number: int, value: Any) -> str:
    """What a list's item is called: its own name where it has one."""
    if isinstance(value, dict):
        for key in ("dataset", "control", "stream", "action", "role"):
            if isinstance(value.get(key), str):
                return f"{number + 1} {value[key]}"
    return str(number + 1)
