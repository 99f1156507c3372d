"""RFC 3161 timestamps against a real local authority (``openssl ts``), without network."""

from __future__ import annotations

import builtins
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from affidavit.core.errors import AffidavitError, Invalid, Tampered
from affidavit.ledger.checkpoint import Checkpoint
from affidavit.ledger.timestamps import make_request, verify_timestamp

pytest.importorskip("rfc3161_client")
if shutil.which("openssl") is None:
    pytest.skip("openssl makes the test authority", allow_module_level=True)

BODY = Checkpoint("example.com/log", 42, bytes(range(32))).body()
POLICY = "1.2.3.4.1"

CONFIG = """\
[tsa]
default_tsa = house
[house]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256, sha512
accuracy = secs:1
tsa_name = no
ess_cert_id_alg = sha256
[stamper]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[req]
distinguished_name = name
[name]
"""


def openssl(folder, *args):
    return subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


class Authority:
    """A root and a timestamping certificate under it, in a folder of their own."""

    def __init__(self, folder, subject, *, days=3650):
        self.folder, self.subject = folder, subject
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        new = ("req", "-config", "tsa.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256")
        openssl(folder, *new, "-x509", "-days", "3650", "-extensions", "root", "-subj", f"/CN={subject} root",
                "-keyout", "root.key", "-out", "root.pem")  # fmt: skip
        openssl(folder, *new, "-subj", f"/CN={subject}", "-keyout", "tsa.key", "-out", "tsa.csr")
        openssl(folder, "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial",
                "-sha256", "-days", str(days), "-extfile", "tsa.cnf", "-extensions", "stamper", "-out", "tsa.pem")  # fmt: skip
        self.root = (folder / "root.pem").read_bytes()
        self.certificate = (folder / "tsa.pem").read_bytes()

    def stamp(self, request, *extra):
        (self.folder / "request.tsq").write_bytes(request)
        openssl(self.folder, "ts", "-reply", "-config", "tsa.cnf", "-section", "house", "-queryfile", "request.tsq",
                "-inkey", "tsa.key", "-signer", "tsa.pem", "-out", "answer.tsr", *extra)  # fmt: skip
        return (self.folder / "answer.tsr").read_bytes()

    def der(self):
        return openssl(self.folder, "x509", "-in", "root.pem", "-outform", "DER").stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("house"), "Test TSA")


@pytest.fixture(scope="module")
def rival(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("rival"), "Rival TSA")


@pytest.fixture(scope="module")
def answer(house):
    return house.stamp(make_request(BODY, 12345))


def test_a_timestamp_verifies(house, answer):
    """The token covers the body, at a time of now, by the authority under the pinned root."""
    stamp = verify_timestamp(BODY, answer, [house.root], nonce=12345, policy=POLICY, subject="CN=Test TSA")
    assert abs(stamp.at - datetime.now(UTC)) < timedelta(minutes=5)
    assert (stamp.tsa, stamp.policy) == ("CN=Test TSA", POLICY)
    assert stamp.serial > 0
    assert verify_timestamp(BODY, answer, [house.der()]) == stamp
    assert verify_timestamp(BODY, answer, [house.root], tsa_certificate=house.certificate) == stamp


@pytest.mark.parametrize("nonce", [None, 0, 1, 127, 128, 255, 256, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_requests_are_read_by_the_authority(house, nonce):
    """Every nonce comes back in the answer; the request is plain RFC 3161."""
    made = house.stamp(make_request(BODY, nonce))
    verify_timestamp(BODY, made, [house.root], nonce=nonce)
    if nonce is not None:
        with pytest.raises(Tampered):
            verify_timestamp(BODY, made, [house.root], nonce=nonce + 1)


@pytest.mark.parametrize("nonce", [-1, 1 << 64, True, 1.0, "1"])
def test_impossible_nonces(nonce):
    """A nonce is an integer of at most 64 bits."""
    with pytest.raises(Invalid):
        make_request(BODY, nonce)


def test_a_timestamp_of_another_checkpoint(house, answer):
    """A genuine token over other bytes proves nothing about these."""
    with pytest.raises(Tampered, match="another checkpoint"):
        verify_timestamp(BODY + b"x", answer, [house.root])
    with pytest.raises(Tampered, match="another checkpoint"):
        verify_timestamp(BODY, house.stamp(make_request(b"other")), [house.root])


def test_another_digest_is_refused(house):
    """Only SHA-256 is asked for, so only SHA-256 is accepted."""
    (house.folder / "body").write_bytes(BODY)
    request = openssl(house.folder, "ts", "-query", "-data", "body", "-sha512", "-cert").stdout
    with pytest.raises(Tampered, match="digest"):
        verify_timestamp(BODY, house.stamp(request), [house.root])


def test_an_authority_that_is_not_pinned(house, rival, answer):
    """A token of an authority under another root is refused, even of the same name."""
    with pytest.raises(Tampered):
        verify_timestamp(BODY, answer, [rival.root])
    both = [rival.root, house.root]
    assert verify_timestamp(BODY, answer, both).tsa == "CN=Test TSA"
    with pytest.raises(Tampered):
        verify_timestamp(BODY, answer, both, subject="CN=Rival TSA")
    with pytest.raises(Tampered):
        verify_timestamp(BODY, answer, both, tsa_certificate=rival.certificate)
    with pytest.raises(Invalid):
        verify_timestamp(BODY, answer, [])


def test_two_roots_do_not_leak_into_the_next_call(house, rival, answer):
    """Trust is per call: a root given once is not trusted the next time."""
    verify_timestamp(BODY, answer, [rival.root, house.root])
    with pytest.raises(Tampered):
        verify_timestamp(BODY, answer, [rival.root])


def test_another_policy(house, answer):
    """The required policy OID must be the token's."""
    with pytest.raises(Tampered):
        verify_timestamp(BODY, answer, [house.root], policy="1.2.3.4.5")
    with pytest.raises(Invalid):
        verify_timestamp(BODY, answer, [house.root], policy="not an oid")


def test_a_certificate_that_had_expired(tmp_path):
    """The chain is checked at the time of the token: a certificate that ended before does not count."""
    expired = Authority(tmp_path, "Expired TSA", days=-1)
    with pytest.raises(Tampered, match="does not verify"):
        verify_timestamp(BODY, expired.stamp(make_request(BODY)), [expired.root])


def test_a_refusal_is_not_a_timestamp(house):
    """An answer with another status than granted is refused with its status."""
    request = make_request(BODY).replace(
        bytes.fromhex("0609608648016503040201"), bytes.fromhex("0609608648016503040202")
    )
    with pytest.raises((Tampered, Invalid)):
        verify_timestamp(BODY, house.stamp(request), [house.root])


def test_every_changed_byte_of_an_answer(house, answer):
    """Flip bytes all through the answer: only our errors, and never a verified other time or imprint."""
    good = verify_timestamp(BODY, answer, [house.root])
    for place in range(0, len(answer), 3):
        changed = answer[:place] + bytes([answer[place] ^ 0x01]) + answer[place + 1 :]
        try:
            stamp = verify_timestamp(BODY, changed, [house.root])
        except AffidavitError as error:
            assert error.next_step
        else:
            assert (stamp.at, stamp.serial, stamp.policy) == (good.at, good.serial, good.policy)


@pytest.mark.parametrize("junk", [b"", b"x", b"\x30\x80", b"\x30\x03\x02\x01\x00", b"x" * 100_001, "text", None])
def test_junk_is_invalid(house, junk):
    """Whatever is no answer raises one of our errors."""
    with pytest.raises((Invalid, Tampered)):
        verify_timestamp(BODY, junk, [house.root])


@pytest.mark.parametrize("junk", [b"", b"-----BEGIN CERTIFICATE-----\n", b"x", "text", None])
def test_junk_certificates_are_invalid(answer, junk):
    """A root that cannot be read is refused, not skipped."""
    with pytest.raises(Invalid):
        verify_timestamp(BODY, answer, [junk])


def test_without_the_extra(house, answer, monkeypatch):
    """Without rfc3161-client the error says what to install; requests still work."""
    real = builtins.__import__

    def absent(name, *args, **kw):
        if name == "rfc3161_client":
            raise ImportError(name)
        return real(name, *args, **kw)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(Invalid) as caught:
        verify_timestamp(BODY, answer, [house.root])
    assert caught.value.next_step == "pip install affidavit[timestamps]"
    assert make_request(BODY)


def test_an_old_client_is_refused(house, answer, monkeypatch):
    """Versions before 1.0.6 could take one authority's token for another's."""
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0.5")
    with pytest.raises(Invalid, match=r"1\.0\.5"):
        verify_timestamp(BODY, answer, [house.root])
