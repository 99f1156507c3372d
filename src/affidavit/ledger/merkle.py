"""Merkle trees of RFC 6962: hashing, inclusion and consistency proofs, and a root over a stream.

Pure functions over hashes of 32 bytes. Size and root of a tree are always taken from a verified
checkpoint, never from a proof: the same inclusion proof is valid for several (index, size) pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from affidavit.core.errors import Invalid, Tampered
from affidavit.ledger.fields import check_count, check_hash

EMPTY_ROOT = sha256(b"").digest()

Span = tuple[int, int]
"""Half-open range of leaves ``(start, stop)``."""

_REFUSE = "Refuse the proof and fetch it again from the log."


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry as a leaf: SHA-256(0x00 || entry); the empty entry is a leaf too (RFC 6962 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 || left || right), each side 32 bytes (RFC 6962 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The leaf hashes of many entries, in order; as fast as the bare hash function allows."""
    digest = sha256
    return [digest(b"\x00" + entry).digest() for entry in entries]


def parents(row: bytes) -> bytes:
    """The hashes above a row of concatenated hashes; an odd last one has no parent yet and is left out."""
    digest = sha256
    return b"".join([digest(b"\x01" + row[i : i + 64]).digest() for i in range(0, len(row) - 63, 64)])


def perfect_root(row: bytes) -> bytes:
    """The root over 2^k concatenated hashes (RFC 6962 2.1); one hash is its own root.

    Raises:
        Invalid: not 1, 2, 4, 8 ... hashes of 32 bytes.
    """
    count, rest = divmod(len(row), 32)
    if rest or count == 0 or count & (count - 1):
        raise Invalid(f"{len(row)} bytes are not 2^k hashes.", next_step="Use Frontier for other numbers of leaves.")
    while len(row) > 32:
        row = parents(row)
    return row


def root(hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over leaf hashes (RFC 6962 2.1); no leaves give SHA-256 of nothing."""
    row = b"".join(check_hash(value, "leaf hash") for value in hashes)
    if not row:
        return EMPTY_ROOT
    while len(row) > 32:
        odd = row[-32:] if (len(row) // 32) % 2 else b""
        row = parents(row) + odd
    return row


class Frontier:
    """The right edge of a growing tree: at most one hash per level, enough for the root of any stream.

    ``size`` is the number of leaves; 0 is the empty tree. Equals the compact range [0, size) of RFC 6962 trees.
    """

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    @classmethod
    def restore(cls, size: int, hashes: Sequence[bytes]) -> Frontier:
        """The frontier that ``hashes`` (largest subtree first) described at this size.

        Raises:
            Invalid: not one hash of 32 bytes per set bit of ``size``.
        """
        check_count(size, "size")
        if len(hashes) != size.bit_count():
            raise Invalid(f"{len(hashes)} hashes do not span {size} leaves.", next_step="Recompute from the entries.")
        frontier = cls()
        frontier.size = size
        frontier._edge = [check_hash(value, "frontier hash") for value in hashes]
        return frontier

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """One hash per set bit of the size, largest subtree first; empty for the empty tree."""
        return tuple(self._edge)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash of 32 bytes.

        Raises:
            Invalid: not 32 bytes.
        """
        self.extend((check_hash(leaf, "leaf hash"),))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order; they are taken as they are (32 bytes each, from ``leaf_hashes``)."""
        edge, size, digest = self._edge, self.size, sha256
        for leaf in leaves:
            value, carry = leaf, size
            while carry & 1:
                value = digest(b"\x01" + edge.pop() + value).digest()
                carry >>= 1
            edge.append(value)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """The Merkle tree hash of the leaves so far; SHA-256 of nothing when there are none."""
        return fold_edge(self._edge)


def fold_edge(hashes: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees given from left (largest) to right; none give the empty root."""
    if not hashes:
        return EMPTY_ROOT
    value = hashes[-1]
    for left in reversed(hashes[:-1]):
        value = node_hash(left, value)
    return value


def split(count: int) -> int:
    """The largest power of two below ``count`` (at least 2): where a tree divides (RFC 6962 2.1)."""
    return 1 << (count - 1).bit_length() - 1


def perfect_spans(start: int, stop: int) -> list[Span]:
    """The perfect subtrees that make up ``[start, stop)``, left to right; empty for an empty range.

    ``start`` is a multiple of the subtree below it, as it is for every span that a proof names.
    """
    spans = []
    while start < stop:
        width = 1 << (stop - start).bit_length() - 1
        spans.append((start, start + width))
        start += width
    return spans


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The spans whose roots prove leaf ``index`` in a tree of ``size`` leaves, from leaf to root (RFC 6962 2.1.1).

    Raises:
        Invalid: ``index`` is not below ``size``; so nothing is included in the empty tree.
    """
    check_count(index, "index")
    check_count(size, "size")
    if index >= size:
        raise Invalid(f"Index {index} is not below the size {size}.", next_step="Fetch a newer checkpoint.")
    spans: list[Span] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + split(stop - start)
        if index < middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start = middle
    spans.reverse()
    return spans


def consistency_spans(old_size: int, new_size: int) -> list[Span]:
    """The spans whose roots prove that a tree grew from ``old_size`` to ``new_size`` leaves (RFC 6962 2.1.2).

    Empty for equal sizes.

    Raises:
        Invalid: ``old_size`` is 0 (the empty tree is consistent with all, so a proof means nothing) or too large.
    """
    _check_sizes(old_size, new_size)
    spans: list[Span] = []
    start, stop, whole = 0, new_size, True
    while old_size != stop:
        middle = start + split(stop - start)
        if old_size <= middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start, whole = middle, False
    if not whole:
        spans.append((start, stop))
    spans.reverse()
    return spans


def _check_sizes(old_size: int, new_size: int) -> None:
    check_count(old_size, "old size")
    check_count(new_size, "new size")
    if old_size > new_size:
        raise Invalid(f"A log cannot shrink from {old_size} to {new_size}.", next_step="Swap the two checkpoints.")
    if old_size == 0:
        raise Invalid(
            "A consistency proof from the empty tree proves nothing.",
            next_step="Accept any later tree after the empty one; ask for no proof.",
        )


def _span_roots(hashes: Sequence[bytes], spans: Iterable[Span]) -> list[bytes]:
    return [root(hashes[start:stop]) for start, stop in spans]


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The proof that leaf ``index`` is in the tree over all of ``hashes`` (RFC 6962 2.1.1).

    For large logs use ``reader.TileReader``, which reads few hashes.

    Raises:
        Invalid: ``index`` outside of the tree.
    """
    return _span_roots(hashes, inclusion_spans(index, len(hashes)))


def consistency_proof(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """The proof that the tree over all of ``hashes`` extends the one over the first ``old_size`` (RFC 6962 2.1.2).

    Raises:
        Invalid: ``old_size`` is 0 or beyond the tree.
    """
    return _span_roots(hashes, consistency_spans(old_size, len(hashes)))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Leaf ``leaf`` stands at ``index`` in the tree of ``size`` leaves with root ``expected_root``.

    Args:
        leaf: leaf hash, 32 bytes.
        index: 0-based, below ``size``.
        size: number of leaves, from a verified checkpoint.
        proof: hashes of 32 bytes, from the leaf's sibling up; empty when ``size`` is 1.
        expected_root: 32 bytes, from the same checkpoint.

    Raises:
        Invalid: a value of wrong type or range.
        Tampered: the proof has another length than index and size require, or leads to another root.

    Source: RFC 6962 section 2.1.1; algorithm of RFC 9162 section 2.1.3.2.
    """
    check_hash(leaf, "leaf hash")
    spans = inclusion_spans(index, size)
    _check_length(proof, len(spans), "inclusion")
    inner = (index ^ (size - 1)).bit_length()
    value = leaf
    for step, sibling in enumerate(proof):
        goes_right = step >= inner or (index >> step) & 1
        value = node_hash(sibling, value) if goes_right else node_hash(value, sibling)
    _check_root(value, expected_root, f"Entry {index} is not proven to be in the tree of size {size}")


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """The tree of ``new_size`` leaves begins with the very leaves of the tree of ``old_size``.

    Args:
        old_size: leaves of the older tree, at least 1: nothing is to be proven of the empty tree.
        new_size: leaves of the newer tree, at least ``old_size``.
        proof: hashes of 32 bytes; empty when the sizes are equal.
        old_root: 32 bytes, from the older checkpoint.
        new_root: 32 bytes, from the newer checkpoint.

    Raises:
        Invalid: a value of wrong type or range, or ``old_size`` of 0.
        Tampered: the proof has another length than the sizes require, or leads to other roots: a fork.

    Source: RFC 6962 section 2.1.2; algorithm of RFC 9162 section 2.1.4.2.
    """
    _check_length(proof, len(consistency_spans(old_size, new_size)), "consistency")
    fork = f"The tree of size {new_size} does not extend the tree of size {old_size}"
    if old_size == new_size:
        return _check_root(new_root, old_root, fork)
    shift = (old_size & -old_size).bit_length() - 1
    rest = list(proof)
    seed = old_root if old_size == 1 << shift else rest.pop(0)
    inner = ((old_size - 1) ^ (new_size - 1)).bit_length() - shift
    mask = (old_size - 1) >> shift
    old_value = new_value = seed
    for step, sibling in enumerate(rest):
        if step >= inner or (mask >> step) & 1:
            old_value = node_hash(sibling, old_value)
            new_value = node_hash(sibling, new_value)
        else:
            new_value = node_hash(new_value, sibling)
    _check_root(old_value, old_root, fork)
    return _check_root(new_value, new_root, fork)


def _check_length(proof: Sequence[bytes], required: int, kind: str) -> None:
    for value in proof:
        check_hash(value, f"hash of the {kind} proof")
    if len(proof) != required:
        raise Tampered(f"The {kind} proof has {len(proof)} hashes; {required} are needed.", next_step=_REFUSE)


def _check_root(value: bytes, expected: bytes, problem: str) -> None:
    # Roots are compared, never hashed further, so their length needs no check of its own.
    if not isinstance(value, bytes) or not isinstance(expected, bytes):
        raise Invalid("A root is not bytes.", next_step="Pass the raw SHA-256 digest.")
    if value != expected:
        raise Tampered(f"{problem}: root {value.hex()} is not {expected.hex()}.", next_step=_REFUSE)


def span_root(span: Span, node: Callable[[int, int], bytes]) -> bytes:
    """The root over a span of leaves from its perfect subtrees.

    Args:
        span: ``(start, stop)``, not empty.
        node: ``(height, index)`` gives the root of leaves ``[index * 2^height, (index + 1) * 2^height)``.
    """
    pieces = perfect_spans(*span)
    heights = [(stop - start).bit_length() - 1 for start, stop in pieces]
    return fold_edge([node(height, start >> height) for height, (start, _) in zip(heights, pieces, strict=True)])
