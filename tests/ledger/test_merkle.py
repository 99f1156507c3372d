"""Hashing and proofs of RFC 6962, against published vectors and a naive reference."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affidavit.core.errors import AffidavitError, Invalid, Tampered
from affidavit.ledger import merkle

VECTORS = Path(__file__).parent.parent / "vectors"


def reference(entries: list[bytes]) -> bytes:
    """MTH exactly as RFC 6962 section 2.1 writes it."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return sha256(b"\x01" + reference(entries[:k]) + reference(entries[k:])).digest()


def leaves(count: int) -> list[bytes]:
    return merkle.leaf_hashes(b"%d" % i for i in range(count))


def cases(name: str) -> list[object]:
    found = json.loads((VECTORS / name).read_text())["cases"]
    assert len(found) == 98
    return [pytest.param(case, id=key) for key, case in found.items()]


@pytest.mark.parametrize("case", cases("rfc6962-inclusion.json"))
def test_inclusion_vectors(case):
    """Each published inclusion proof is accepted or refused as published."""
    proof = [b64decode(value) for value in case["proof"] or []]
    args = (b64decode(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, b64decode(case["root"]))
    if case["wantErr"]:
        with pytest.raises((Invalid, Tampered)):
            merkle.verify_inclusion(*args)
    else:
        merkle.verify_inclusion(*args)


@pytest.mark.parametrize("case", cases("rfc6962-consistency.json"))
def test_consistency_vectors(case):
    """Each published consistency proof is accepted or refused as published."""
    proof = [b64decode(value) for value in case["proof"] or []]
    args = (case["size1"], case["size2"], proof, b64decode(case["root1"]), b64decode(case["root2"]))
    if case["wantErr"]:
        with pytest.raises((Invalid, Tampered)):
            merkle.verify_consistency(*args)
    else:
        merkle.verify_consistency(*args)


def test_known_hashes():
    """The empty root and the hash of the empty leaf are the published ones."""
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.root([]) == merkle.EMPTY_ROOT


@given(st.lists(st.binary(max_size=5), max_size=70))
def test_root_equals_the_reference(entries):
    """The root in one go, by frontier, and by definition are the same."""
    hashes = merkle.leaf_hashes(entries)
    frontier = merkle.Frontier()
    frontier.extend(hashes)
    assert merkle.root(hashes) == frontier.root() == reference(entries)
    assert merkle.Frontier.restore(frontier.size, frontier.hashes).root() == frontier.root()


@given(st.integers(1, 300), st.data())
def test_own_proofs_verify(size, data):
    """Every proof that we make verifies, and has the length that the definition gives it."""
    hashes = leaves(size)
    root = merkle.root(hashes)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(hashes, index)
    merkle.verify_inclusion(hashes[index], index, size, proof, root)
    old = data.draw(st.integers(1, size))
    path = merkle.consistency_proof(hashes, old)
    merkle.verify_consistency(old, size, path, merkle.root(hashes[:old]), root)


@given(st.integers(2, 100), st.data())
def test_a_changed_proof_fails(size, data):
    """A proof with one bit changed, a hash dropped, added or swapped in is refused."""
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(hashes, index)
    place = data.draw(st.integers(0, len(proof) - 1))
    changed = bytes([proof[place][0] ^ 1]) + proof[place][1:]
    for wrong in (
        [*proof[:place], changed, *proof[place + 1 :]],
        proof[:-1],
        [*proof, proof[0]],
        [hashes[index], *proof],
    ):
        with pytest.raises(Tampered):
            merkle.verify_inclusion(hashes[index], index, size, wrong, merkle.root(hashes))


def test_a_proof_does_not_fix_size_or_index():
    """One proof is valid for several sizes and indexes: callers must take both from a checkpoint."""
    six = leaves(6)
    proof, root = merkle.inclusion_proof(six, 5), merkle.root(six)
    for index, size in ((5, 6), (3, 4), (9, 10), (12, 13)):
        merkle.verify_inclusion(six[5], index, size, proof, root)
    eight = leaves(8)
    proof, root = merkle.inclusion_proof(eight, 0), merkle.root(eight)
    for size in (5, 6, 7, 8):
        merkle.verify_inclusion(eight[0], 0, size, proof, root)
    with pytest.raises(Tampered):
        merkle.verify_inclusion(eight[0], 0, 9, proof, root)


def test_an_inner_node_is_no_leaf():
    """The hash prefixes keep an inner node from being passed off as an entry."""
    four = leaves(4)
    inner = merkle.node_hash(four[0], four[1])
    assert merkle.leaf_hash(four[0] + four[1]) != inner
    with pytest.raises(Tampered):
        merkle.verify_inclusion(inner, 0, 4, [merkle.node_hash(four[2], four[3])], merkle.root(four))


def test_an_odd_last_node_is_not_doubled():
    """Three leaves and the same with the last repeated have different roots."""
    three = leaves(3)
    assert merkle.root(three) != merkle.root([*three, three[2]])


H = bytes(32)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: merkle.verify_inclusion(H, 0, 0, [], merkle.EMPTY_ROOT), "nothing is in the empty tree"),
        (lambda: merkle.verify_inclusion(H, 1, 1, [], H), "index at the size"),
        (lambda: merkle.verify_inclusion(H, -1, 1, [], H), "negative index"),
        (lambda: merkle.verify_inclusion(H, 0, 1 << 63, [], H), "size of 2^63"),
        (lambda: merkle.verify_inclusion(H, True, 2, [H], H), "bool is no index"),
        (lambda: merkle.verify_inclusion(H, 0.0, 1, [], H), "float is no index"),
        (lambda: merkle.verify_inclusion(b"short", 0, 1, [], b"short"), "short leaf hash"),
        (lambda: merkle.verify_inclusion(H, 0, 2, [b"short"], H), "short proof hash"),
        (lambda: merkle.verify_inclusion(H, 0, 2, ["text"], H), "text for a hash"),
        (lambda: merkle.verify_inclusion(H, 0, 1, [], None), "no root"),
        (lambda: merkle.verify_consistency(0, 5, [], merkle.EMPTY_ROOT, H), "from the empty tree"),
        (lambda: merkle.verify_consistency(0, 0, [], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT), "both empty"),
        (lambda: merkle.verify_consistency(6, 5, [], H, H), "shrinking"),
        (lambda: merkle.verify_consistency(1, 2, [b""], H, H), "empty proof hash"),
        (lambda: merkle.consistency_proof(leaves(3), 4), "beyond the tree"),
        (lambda: merkle.inclusion_proof([], 0), "proof in the empty tree"),
        (lambda: merkle.root([b"short"]), "short hash"),
        (lambda: merkle.perfect_root(H * 3), "three hashes"),
        (lambda: merkle.perfect_root(b""), "no hash"),
        (lambda: merkle.Frontier().append(b"short"), "short hash appended"),
        (lambda: merkle.Frontier.restore(3, [H]), "too few hashes"),
    ],
)
def test_malformed_input_is_invalid(call, why):
    """What cannot mean anything raises Invalid with a next step."""
    with pytest.raises(Invalid) as caught:
        call()
    assert caught.value.next_step, why


@pytest.mark.parametrize(("old", "new"), [(3, 7), (4, 7), (7, 8), (8, 8)])
def test_a_fork_fails(old, new):
    """A tree with another history does not extend the old one, whatever proof it brings."""
    honest, forged = leaves(new), [*leaves(new)]
    forged[1] = merkle.leaf_hash(b"forged")
    proof = merkle.consistency_proof(forged, old)
    with pytest.raises(Tampered, match="does not extend"):
        merkle.verify_consistency(old, new, proof, merkle.root(honest[:old]), merkle.root(forged))


def test_errors_are_of_the_one_tree():
    """Both error types belong to the product's tree."""
    assert issubclass(Invalid, AffidavitError)
    assert issubclass(Tampered, AffidavitError)
