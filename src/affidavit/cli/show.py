"""Printing results: one JSON document with ``--json``, else lines a person reads."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from affidavit.core import codec
from affidavit.core.area import Document
from affidavit.core.errors import Invalid, StoreDown
from affidavit.core.fields import time_text
from affidavit.service.executor import Done
from affidavit.service.rows import done_row, record_row

__all__ = ["done_row", "named", "print_done", "print_json", "print_lines", "print_value", "record_row", "save"]
VAULT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
LAST_COLUMN = 30
PRINCIPAL = re.compile(r"p-[0-9a-f]{32}")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def named(value: Any, name_of: Callable[[str], str | None], text_of: Callable[[str], str | None]) -> Any:
    """The value for people to read: the name behind each principal id, the words behind each vault id."""
    if isinstance(value, str):
        if VAULT.fullmatch(value):
            return text_of(value) or value
        return PRINCIPAL.sub(lambda m: f"{m[0][:10]}… ({name_of(m[0]) or 'erased'})", value)
    if isinstance(value, list):
        return [named(v, name_of, text_of) for v in value]
    if isinstance(value, dict):
        return {k: named(v, name_of, text_of) for k, v in value.items()}
    return value


def print_value(value: Any, indent: str = "") -> None:
    """A JSON value as indented lines; a list of flat objects as a table."""
    if isinstance(value, str) and "\n" in value:
        print(value)
    elif isinstance(value, list) and value and all(_flat(v) for v in value):
        _table(value, indent)
    elif isinstance(value, list):
        if not value:
            print(f"{indent}none")
        for number, item in enumerate(value):
            if number and isinstance(item, dict):
                print()
            print_value(item, indent)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                print(f"{indent}{key}:")
                print_value(item, indent + "  ")
            else:
                print(f"{indent}{key}: {_cell(item)}")
    else:
        print(f"{indent}{_cell(value)}")


def check_free(path: Path) -> None:
    """Raise ``Invalid`` if something stands where a document is to be written."""
    if path.exists() or path.is_symlink():
        raise Invalid(f"{path} exists already.", next_step="remove it, or give another name: --out FILE.")


def save(document: Document, out: str | None) -> str:
    """Write a document to ``out``, or under its own name in this folder; the path. Raises ``Invalid`` if a file is there."""
    path = Path(out) if out is not None else Path(Path(document.name).name)
    check_free(path)
    try:
        with path.open("xb") as file:
            file.write(document.body)
    except OSError as e:
        raise StoreDown(
            f"{path} cannot be written: {e.strerror}.", next_step="choose another place: --out FILE."
        ) from None
    return str(path)


def print_lines(lines: Iterable[str]) -> None:
    """Lines that a request's own ``shows`` made."""
    for line in lines:
        print(line)


def print_done(done: Done, shown_by: Callable[[Any], Iterable[str]] | None = None) -> None:
    """What a command left in the log, then what a measure gives back."""
    if done.repeated:
        print("accepted before under this command id:")
    for record in done.records:
        print(f"entry {record.index}  {record.head.tag}  {time_text(record.head.at)}")
        print_value(codec.dump_object(record.fact), "  ")
    if shown_by is not None and done.result is not None:
        print_lines(shown_by(done.result))
    elif isinstance(done.result, (dict, list, str, int)):
        print_value(done.result)
    elif not done.records:
        print("nothing to record")


def _flat(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(v, (dict, list)) and v for v in value.values())


def _cell(value: Any) -> str:
    if value is None or value in ([], {}):
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(rows: list[dict[str, Any]], indent: str) -> None:
    """Rows as a table; its last column is wrapped, and what is wider still becomes one block a row."""
    names = list(dict.fromkeys(k for row in rows for k in row))
    cells = [[_cell(row.get(n)) for n in names] for row in rows]
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    left = shutil.get_terminal_size((100, 24)).columns - len(indent) - sum(widths[:-1]) - 2 * len(widths[:-1])
    if left < min(widths[-1], LAST_COLUMN):
        _blocks(names, cells, indent)
        return
    for line in [names, *cells]:
        start = indent + "".join(text.ljust(w + 2) for text, w in zip(line[:-1], widths[:-1], strict=True))
        wrapped = textwrap.wrap(line[-1], left, break_long_words=False, break_on_hyphens=False) or [""]
        for number, part in enumerate(wrapped):
            print(((start if number == 0 else " " * len(start)) + part).rstrip())


def _blocks(names: list[str], cells: list[list[str]], indent: str) -> None:
    for number, row in enumerate(cells):
        if number:
            print()
        for name, text in zip(names, row, strict=True):
            if text:
                print(f"{indent}{name}: {text}")
