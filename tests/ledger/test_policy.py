"""Trust policies of C2SP tlog-policy: what is understood, and that nothing else is."""

from __future__ import annotations

import itertools

import pytest

from affidavit.core.errors import Invalid
from affidavit.ledger.keys import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, Ed25519Signer, VerifierKey
from affidavit.ledger.policy import parse_policy

LOG = Ed25519Signer("example.com/log", bytes(range(32))).vkey
LOG2 = Ed25519Signer("example.com/log2", bytes(32)).vkey
SAME_LOG = Ed25519Signer("example.com/renamed", bytes(range(32))).vkey
W = [VerifierKey(f"w{i}.example", COSIGNATURE_ED25519, bytes([i]) * 32).vkey for i in range(6)]
POST_QUANTUM = VerifierKey("pq.example", COSIGNATURE_ML_DSA_44, bytes(1312)).vkey

TWO_HOUSES = f"""\
# a comment
log {LOG} https://log.example/
\tlog   {LOG2}\t

witness X1 {W[0]}
witness X2 {W[1]} https://x2.example/
witness X3 {W[2]}
group X 2 X1 X2 X3
witness Y1 {W[3]}
witness Y2 {POST_QUANTUM}
group Y any Y1 Y2
group both all X Y
quorum both
"""


def test_a_policy_of_two_houses():
    """The quorum holds exactly when two of the X witnesses and one of the Y witnesses cosigned."""
    policy = parse_policy(TWO_HOUSES.encode())
    assert [log.url for log in policy.logs] == ["https://log.example/", ""]
    assert [key.vkey for key in policy.log_keys] == [LOG, LOG2]
    assert policy.witnesses[1].url == "https://x2.example/"
    names = ["X1", "X2", "X3", "Y1", "Y2", "unknown", "X", "both"]
    for count in range(len(names) + 1):
        for cosigned in itertools.combinations(names, count):
            x, y = {"X1", "X2", "X3"} & {*cosigned}, {"Y1", "Y2"} & {*cosigned}
            assert policy.satisfied_by(cosigned) == (len(x) >= 2 and len(y) >= 1)


def test_a_policy_goes_both_ways():
    """Writing a policy and reading it again gives the same policy."""
    policy = parse_policy(TWO_HOUSES.encode())
    assert parse_policy(policy.encode()) == policy


def test_no_witness_needed():
    """'quorum none' is satisfied by nobody; the logs may be known from elsewhere."""
    policy = parse_policy(b"quorum none\n")
    assert policy.satisfied_by([])
    assert policy.log_keys == ()


def test_one_witness_needed():
    """A quorum may name a single witness."""
    policy = parse_policy(f"witness w {W[0]}\nquorum w\n".encode())
    assert policy.satisfied_by(["w"])
    assert not policy.satisfied_by([])


def test_names_are_opaque_bytes():
    """Names that look alike or are not UTF-8 stay different and survive."""
    text = (
        f"witness K {W[0]}\nwitness \u212a {W[1]}\nwitness ".encode()
        + b"\xff\xfe "
        + W[2].encode()
        + b"\nquorum \xff\xfe\n"
    )
    policy = parse_policy(text)
    assert len({witness.name for witness in policy.witnesses}) == 3
    assert policy.encode() == text


BASE = f"witness a {W[0]}\nwitness b {W[1]}\n"
BAD = {
    "empty": "",
    "no quorum": f"log {LOG}\n",
    "two quorums": "quorum none\nquorum none\n",
    "unknown quorum": "quorum a\n",
    "quorum before its definition": f"quorum a\nwitness a {W[0]}\n",
    "quorum without name": "quorum\n",
    "quorum with two names": BASE + "quorum a b\n",
    "unknown line": "tsa https://tsa.example/\nquorum none\n",
    "capital letters": f"Log {LOG}\nquorum none\n",
    "log without key": "log\nquorum none\n",
    "log with too much": f"log {LOG} url more\nquorum none\n",
    "log with a bad key": f"log {LOG[:-1]}\nquorum none\n",
    "log with a witness key": f"log {W[0]}\nquorum none\n",
    "same log twice": f"log {LOG}\nlog {LOG} url\nquorum none\n",
    "same log key renamed": f"log {LOG}\nlog {SAME_LOG}\nquorum none\n",
    "witness with a log key": f"witness a {LOG}\nquorum none\n",
    "witness without key": "witness a\nquorum none\n",
    "same witness key twice": f"witness a {W[0]}\nwitness b {W[0]}\nquorum none\n",
    "same witness name twice": f"witness a {W[0]}\nwitness a {W[1]}\nquorum none\n",
    "witness called none": f"witness none {W[0]}\nquorum none\n",
    "group called none": BASE + "group none any a\nquorum none\n",
    "group with the name of a witness": BASE + "group a any b\nquorum none\n",
    "group without members": BASE + "group g any\nquorum none\n",
    "group of none": BASE + "group g any none\nquorum none\n",
    "group of itself": BASE + "group g any g\nquorum none\n",
    "group of the undefined": BASE + "group g any c\nquorum none\n",
    "member twice in a group": BASE + "group g 2 a a\nquorum none\n",
    "member of two groups": BASE + "group g any a\ngroup h any a b\nquorum none\n",
    "threshold 0": BASE + "group g 0 a b\nquorum none\n",
    "threshold too high": BASE + "group g 3 a b\nquorum none\n",
    "threshold with a zero": BASE + "group g 01 a b\nquorum none\n",
    "threshold with a plus": BASE + "group g +1 a b\nquorum none\n",
    "Arabic threshold": BASE + "group g \u0661 a b\nquorum none\n",
    "threshold of many digits": BASE + "group g " + "9" * 5000 + " a b\nquorum none\n",
    "threshold word": BASE + "group g most a b\nquorum none\n",
    "no final newline": "quorum none",
    "carriage return": "quorum none\r\n",
    "form feed": "quorum\x0cnone\n",
    "DEL": "quorum none\x7f\n",
    "NUL": "quorum none\x00\n",
    "no-break space": "quorum\u00a0none\n",
    "too large": "#" * 1_000_001,
}


@pytest.mark.parametrize("why", BAD)
def test_anything_else_is_invalid(why):
    """A line that is not understood is never skipped."""
    with pytest.raises(Invalid) as caught:
        parse_policy(BAD[why].encode())
    assert caught.value.next_step


def test_a_policy_is_bytes():
    """Text raises Invalid, not TypeError."""
    with pytest.raises(Invalid):
        parse_policy("quorum none\n")


def test_errors_name_the_line():
    """The message says which line to correct."""
    with pytest.raises(Invalid, match="Line 3"):
        parse_policy(b"# one\n\nrubbish\nquorum none\n")
