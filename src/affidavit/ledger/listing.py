"""The files of a log directory, and the flaws found in them, as values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from affidavit.core.errors import Invalid
from affidavit.ledger.tiles import ENTRIES, WIDTH, Tile, parse_path, width_at


@dataclass(frozen=True, slots=True)
class Problem:
    """One flaw and its place.

    ``kind``: ``checkpoint``, ``missing``, ``malformed``, ``entry``, ``tile``, ``root``, ``fork``, ``omission``,
    ``unexpected``, ``ahead`` or ``content``. ``path`` is relative to the log directory (empty: the log as
    a whole), ``index`` the first entry concerned, if any.
    """

    kind: str
    path: str
    index: int | None
    detail: str

    def __str__(self) -> str:
        place = " ".join(part for part in (self.path, "" if self.index is None else f"entry {self.index}") if part)
        return f"{self.kind}: {place}: {self.detail}" if place else f"{self.kind}: {self.detail}"


class Listing:
    """What exists under the log directory: widths by (level, index), and names that no log has."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.widths: dict[tuple[int, int], list[int]] = {}
        self.unexpected: list[str] = []
        for path in paths:
            if path == "checkpoint":
                continue
            try:
                tile = parse_path(path)
            except Invalid:
                self.unexpected.append(path)
            else:
                self.widths.setdefault((tile.level, tile.index), []).append(tile.width)

    def extent(self) -> int:
        """The size that the entry bundles span; 0 without any."""
        return max(
            (i * WIDTH + max(widths) for (level, i), widths in self.widths.items() if level == ENTRIES), default=0
        )

    def source(self, level: int, index: int, width: int) -> Tile | None:
        """The resource to read ``width`` places from: the partial one, else the full one, else None."""
        widths = self.widths.get((level, index), [])
        for choice in (width, WIDTH):
            if choice in widths:
                return Tile(level, index, choice)
        return None

    def older(self, level: int, index: int, width: int) -> list[Tile]:
        """The narrower partial resources kept from earlier sizes."""
        widths = self.widths.get((level, index), [])
        return [Tile(level, index, other) for other in sorted(widths) if other < width]

    def ahead(self, size: int) -> list[Tile]:
        """Resources that reach beyond ``size``, sorted."""
        return sorted(
            Tile(level, index, width)
            for (level, index), widths in self.widths.items()
            for width in widths
            if width > width_at(level, index, size)
        )
