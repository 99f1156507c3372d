"""A log in memory, grown with our own code, that tests can damage."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from affidavit.core.errors import NotFound
from affidavit.ledger import growth, merkle
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer

ORIGIN = "example.com/log"


class MemoryLog(dict[str, bytes]):
    """The files of a log by path; ``checkpoints`` keeps the notes of earlier sizes."""

    def __init__(self, signer: Ed25519Signer, origin: str) -> None:
        super().__init__()
        self.signer, self.origin = signer, origin
        self.size, self.root = 0, merkle.EMPTY_ROOT
        self.checkpoints: dict[int, bytes] = {}
        self.entries: list[bytes] = []
        self.reads: list[str] = []

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        if path not in self:
            raise NotFound(path)
        return self[path]

    def paths(self) -> list[str]:
        return list(self)

    def append(self, entries: Iterable[bytes]) -> growth.Growth:
        """Add entries, write what must be written, and publish."""
        entries = list(entries)
        grown = growth.grow(self.read, self.size, entries, root=self.root)
        self.update(grown.puts)
        self.size, self.root = grown.size, grown.root
        self.entries += entries
        self.publish()
        return grown

    def publish(self) -> bytes:
        self["checkpoint"] = sign_checkpoint(Checkpoint(self.origin, self.size, self.root), self.signer)
        self.checkpoints[self.size] = self["checkpoint"]
        return self["checkpoint"]

    def flip(self, path: str, place: int, mask: int = 1) -> None:
        body = bytearray(self[path])
        body[place] ^= mask
        self[path] = bytes(body)


@pytest.fixture
def signer() -> Ed25519Signer:
    return Ed25519Signer(ORIGIN, bytes(range(32)))


@pytest.fixture
def other() -> Ed25519Signer:
    """A key of somebody else under the same name."""
    return Ed25519Signer(ORIGIN, bytes(32))


@pytest.fixture
def make_log(signer: Ed25519Signer) -> Callable[..., MemoryLog]:
    """Make a log published at each of the sizes."""

    def make(*sizes: int, entry: Callable[[int], bytes] = lambda i: b"entry %d" % i, **kw: object) -> MemoryLog:
        log = MemoryLog(kw.get("signer", signer), kw.get("origin", ORIGIN))
        for size in sizes:
            log.append(entry(i) for i in range(log.size, size))
        return log

    return make
