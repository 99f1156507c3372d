"""One changed byte anywhere in a package is found, and its place is named."""

from __future__ import annotations

import io
import random

import pytest
from paper_ledger import PERIOD, PaperLedger, small

from affidavit.evidence.archive import open_archive
from affidavit.evidence.package import Options, write_package
from affidavit.evidence.verify import verify_package
from affidavit.evidence.zipform import CENTRAL, END


@pytest.fixture(scope="module")
def ledger() -> PaperLedger:
    return small()


@pytest.fixture(scope="module")
def package(ledger) -> bytes:
    out = io.BytesIO()
    write_package(out, ledger.source(), Options(PERIOD, controls=("AI-99.2",), disclose=("access.*",)))
    return out.getvalue()


def places(package: bytes) -> list[tuple[int, str, bool]]:
    """(byte, member that it belongs to, is it of a header) for every byte of the zip."""
    archive = open_archive(io.BytesIO(package))
    members = list(archive.members.values())
    found = [(b, m.name, b < m.data) for m in members for b in range(m.offset, m.end)]
    position = members[-1].end
    for m in members:
        size = CENTRAL.size + len(m.name)
        found += [(position + i, m.name, True) for i in range(size)]
        position += size
    return found + [(position + i, "", True) for i in range(END.size)]


def flipped(package: bytes, place: int, mask: int) -> bytes:
    body = bytearray(package)
    body[place] ^= mask
    return bytes(body)


def named(report, name: str) -> bool:
    """Whether some problem is at the member; a flaw of a name may be named by what stands there now."""
    return any(p.path == name or p.kind == "archive" for p in report.problems)


def test_every_byte_belongs_to_something(package):
    """Headers, contents, directory and end add up to the file."""
    assert [b for b, _, _ in places(package)] == list(range(len(package)))


def test_a_flip_in_any_byte_of_any_header_is_found(package, ledger):
    """All of them, one bit each."""
    for place, name, header in places(package):
        if header:
            report = verify_package(io.BytesIO(flipped(package, place, 1 << place % 8)), vkeys=[ledger.signer.vkey])
            assert not report.ok, place
            assert named(report, name), (place, name, report.lines())


def test_random_flips_in_contents_are_found_and_named(package, ledger):
    """Six hundred bytes of contents, any bit: the file is named, once at least."""
    contents = [(b, n) for b, n, header in places(package) if not header]
    draw = random.Random(20260101)
    for place, name in draw.sample(contents, 600):
        report = verify_package(io.BytesIO(flipped(package, place, 1 << draw.randrange(8))), vkeys=[ledger.signer.vkey])
        assert report.level == "none", (place, name)
        assert name in {p.path for p in report.problems} or (
            name == "log.vkey" and "manifest.note" in {p.path for p in report.problems}
        )


def test_any_truncation_is_found(package, ledger):
    """Cut anywhere."""
    for stop in range(0, len(package), 97):
        assert not verify_package(io.BytesIO(package[:stop]), vkeys=[ledger.signer.vkey]).ok


def test_random_bytes_and_splices_leak_no_foreign_error(package):
    """Whatever the bytes are, the answer is a report."""
    draw = random.Random(7)
    for _ in range(150):
        body = bytearray(package)
        for _ in range(draw.randrange(1, 40)):
            start = draw.randrange(len(body))
            kind = draw.randrange(3)
            if kind == 0:
                body[start : start + draw.randrange(60)] = draw.randbytes(draw.randrange(60))
            elif kind == 1:
                del body[start : start + draw.randrange(200)]
            else:
                body[start:start] = body[draw.randrange(len(body)) :][: draw.randrange(400)]
        assert verify_package(io.BytesIO(bytes(body))).level == "none"
