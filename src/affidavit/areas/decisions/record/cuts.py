"""A cut: one segment on the sealer's disk, its rows chosen for good before anything is uploaded.

``<spool>/<stream>/out/<first>.parquet``, ``.tree`` and, written last, ``.json`` with the header: a cut is there if and
only if its manifest is. A crash at any point finds the same cut again; what is uploaded is these bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affidavit.areas.decisions.record.spool import write_durably
from affidavit.core import canonical, codec
from affidavit.core.area import Desk
from affidavit.core.errors import AffidavitError, StoreDown
from affidavit.streams.sealed import SegmentSealed, check_header

OUT = "out"


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment that waits for its entry: header, aggregates of the kernels by name, place of its files."""

    header: SegmentSealed
    stem: Path
    aggregates: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The Parquet file."""
        return self.stem.with_suffix(".parquet")

    @property
    def tree(self) -> Path:
        """The tiles."""
        return self.stem.with_suffix(".tree")

    def fix(self) -> None:
        """Write the manifest: from here on these rows are this segment. Its files are on the disk already."""
        body = {"aggregates": self.aggregates, "header": codec.dump_object(self.header)}
        write_durably(self.stem.with_suffix(".json"), canonical.encode(body))

    def keep(self, desk: Desk) -> None:
        """Upload both files, byte for byte. Raises ``StoreDown`` if the disk gives other bytes than were written."""
        for path, digest in ((self.file, self.header.file), (self.tree, self.header.tree)):
            stored, _ = desk.keep_segment(path)
            if stored != digest:
                drop_unnamed(desk, stored)
                raise StoreDown(f"{path} changed since it was written.", next_step="seal again; check the disk.")

    def remove(self) -> None:
        """Remove the files; the manifest goes first, so that a rest is never taken for a cut."""
        for suffix in (".json", ".parquet", ".tree"):
            self.stem.with_suffix(suffix).unlink(missing_ok=True)


def stem_of(folder: Path, first_seq: int) -> Path:
    """Where the files of a cut lie, without their endings."""
    return folder / OUT / f"{first_seq:012d}"


def drop_unnamed(desk: Desk, digest: str) -> None:
    """Destroy a stored file of a cut that will not be sealed, unless a sealed segment stands in it.

    Who writes to the spool writes manifests too, and must not be able to name what the sealer destroys.
    """
    from affidavit.areas.decisions.erasure.scanning import every_segment

    if all(digest not in (where.file, where.header.tree) for where in every_segment(desk)):
        desk.drop_segment(digest)


def cuts_of(folder: Path, next_seq: int, desk: Desk) -> list[Cut]:
    """The cuts of a stream that continue it from ``next_seq``, in order. All else in ``out`` is removed.

    A cut below is in the ledger already; one whose files no longer are what was written, or what its header says, is made
    again, and what of it was uploaded is destroyed: no header names it.
    """
    found: list[Cut] = []
    home = folder / OUT
    for manifest in sorted(home.glob("*.json")):
        cut = _read(manifest)
        if cut is None or cut.header.first_seq != next_seq or not _whole(cut):
            if cut is not None and cut.header.first_seq >= next_seq:
                drop_unnamed(desk, cut.header.file)
            Cut.remove(cut or Cut(_NONE, manifest.with_suffix("")))
            continue
        found.append(cut)
        next_seq = cut.header.last_seq + 1
    kept = {cut.stem.name for cut in found}
    for path in home.glob("*"):
        if path.name.split(".")[0] not in kept:
            path.unlink(missing_ok=True)
    return found


_NONE: Any = None


def _read(manifest: Path) -> Cut | None:
    try:
        body = canonical.decode(manifest.read_bytes())
        assert isinstance(body, dict)  # noqa: S101 - our own file; anything else is caught below
        header: SegmentSealed = codec.load_object(SegmentSealed, body["header"], manifest.name)
        check_header(header)
        folder = manifest.parent.parent
        if header.stream != folder.name or manifest.with_suffix("") != stem_of(folder, header.first_seq):
            return None  # another stream's
        return Cut(header, manifest.with_suffix(""), body["aggregates"])
    except (AffidavitError, AssertionError, KeyError):
        return None


def _whole(cut: Cut) -> bool:
    """Whether the files are those of the header, and hold the rows and the tree that it commits to."""
    from affidavit.streams.stored import examine

    places = {cut.header.file: cut.file, cut.header.tree: cut.tree}
    try:
        return not examine(cut.header, cut.header.file, lambda digest: places[digest].open("rb"))
    except (
        ArithmeticError,
        LookupError,
        OSError,
        TypeError,
        ValueError,
    ):  # whatever a spoiled file makes its reader raise
        return False
