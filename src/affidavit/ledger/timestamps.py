"""RFC 3161 timestamps over checkpoints: the request, and the verification of what an authority answered.

The imprint is SHA-256 over the note *body* of a checkpoint (``Note.body``), so that signatures added later do
not disturb it. The request needs nothing beyond the standard library; verification needs the extra
``timestamps`` (rfc3161-client), imported only when used. Revocation is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from affidavit.core.errors import AffidavitError, Invalid, Tampered
from affidavit.ledger.fields import shown

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, ObjectIdentifier

MAX_RESPONSE_BYTES = 100_000

_SHA256_OID = "2.16.840.1.101.3.4.2.1"
_SHA256_DER = bytes.fromhex("300d06096086480165030402010500")
_MIN_CLIENT = (1, 0, 6)
_OTHER = "Ask the authority for a new timestamp of the same checkpoint; do not rely on this one."


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A verified timestamp: the body existed at ``at`` (aware UTC), says the authority ``tsa``.

    ``tsa`` is the subject of the signing certificate (RFC 4514), ``serial`` the token's number,
    ``policy`` the authority's policy OID.
    """

    at: datetime
    tsa: str
    serial: int
    policy: str


def make_request(body: bytes, nonce: int | None = None) -> bytes:
    """The DER request to timestamp a checkpoint body, asking for the authority's certificate.

    Args:
        body: the note body of a checkpoint.
        nonce: 0 to 2^64 - 1, drawn at random by the caller and kept until the answer is verified; None for none.

    Raises:
        Invalid: ``nonce`` out of range.

    Source: RFC 3161 section 2.4.1.
    """
    if nonce is not None and (type(nonce) is not int or not 0 <= nonce < 1 << 64):
        raise Invalid(f"Nonce {shown(nonce)} is not an integer from 0 to 2^64 - 1.", next_step="Draw 64 random bits.")
    imprint = _der(0x30, _SHA256_DER + _der(0x04, sha256(body).digest()))
    number = b"" if nonce is None else _der(0x02, nonce.to_bytes(nonce.bit_length() // 8 + 1, "big"))
    return _der(0x30, _der(0x02, b"\x01") + imprint + number + _der(0x01, b"\xff"))


def _der(tag: int, content: bytes) -> bytes:
    """One DER element; contents here stay below 128 bytes, so the length is one byte."""
    return bytes([tag, len(content)]) + content


def verify_timestamp(
    body: bytes,
    response: bytes,
    roots: Sequence[bytes],
    *,
    intermediates: Sequence[bytes] = (),
    tsa_certificate: bytes | None = None,
    subject: str | None = None,
    policy: str | None = None,
    nonce: int | None = None,
) -> Timestamp:
    """An authority under a pinned root says that the body existed at the time of the token.

    Args:
        body: the note body of a checkpoint.
        response: the DER answer of the authority, at most 100,000 bytes.
        roots: certificates that the caller trusts, PEM or DER, at least one; several authorities need
            ``subject`` or ``policy`` to tell them apart.
        intermediates: further certificates of the chain, PEM or DER.
        tsa_certificate: the signing certificate, if the answer lacks it or only this one is accepted.
        subject: required subject of the signing certificate (RFC 4514 text).
        policy: required policy OID.
        nonce: the nonce of the request; None for answers whose request is not known.

    Returns:
        The time and the authority. The chain is checked at that time, so expired certificates still count.

    Raises:
        Invalid: a malformed answer, certificate or OID, no roots, or the extra is not installed.
        Tampered: the answer is no grant, covers other bytes, another nonce or policy, or does not verify.

    Source: RFC 3161 sections 2.2 and 2.3.
    """
    client = _client()
    if not roots:
        raise Invalid("No root certificate is pinned.", next_step="Pass the roots of the authorities that you trust.")
    answer = _decode(client, response)
    token = answer.tst_info
    _check_imprint(token, body)
    builder = client.VerifierBuilder(
        policy_id=None if policy is None else _oid(policy),
        tsa_certificate=None if tsa_certificate is None else _certificate(tsa_certificate),
        intermediates=[_certificate(item) for item in intermediates],
        roots=[_certificate(item) for item in roots],
        nonce=nonce,
        common_name=subject,
    )
    try:
        # The client takes the set of signers apart while it verifies, so each use decodes the answer afresh.
        builder.build().verify(_decode(client, response), sha256(body).digest())
    except AffidavitError:
        raise
    except Exception as error:  # its own error type, and whatever a hostile certificate makes it leak
        raise Tampered(f"The timestamp does not verify: {shown(str(error))}.", next_step=_OTHER) from error
    return Timestamp(
        at=_utc(token.gen_time),
        tsa=_signer_subject(answer, tsa_certificate),
        serial=int(token.serial_number),
        policy=str(token.policy.dotted_string),
    )


def _client() -> Any:
    try:
        import rfc3161_client
    except ImportError as error:
        raise Invalid(
            "Verifying timestamps needs rfc3161-client, which is not installed.",
            next_step="pip install affidavit[timestamps]",
        ) from error
    from importlib.metadata import version

    found = version("rfc3161-client")
    parts = tuple(int(part) for part in re.findall(r"[0-9]+", found)[:3])
    if parts < _MIN_CLIENT:
        raise Invalid(
            f"rfc3161-client {found} may take the token of one authority for another's.",
            next_step="pip install 'rfc3161-client>=1.0.6'",
        )
    return rfc3161_client


def _decode(client: Any, response: bytes) -> Any:
    if not isinstance(response, bytes) or not 0 < len(response) <= MAX_RESPONSE_BYTES:
        raise Invalid(f"A timestamp has 1 to {MAX_RESPONSE_BYTES} bytes.", next_step=_OTHER)
    try:
        answer = client.decode_timestamp_response(response)
        if answer.status == 0:
            answer.tst_info.gen_time  # noqa: B018 - a lazy field: broken DER shows only when it is read
            return answer
        reason = f"The authority refused the timestamp with status {answer.status}."
    except Exception as error:  # whatever the decoder makes of hostile DER
        raise Invalid(f"The timestamp is not an RFC 3161 answer: {shown(str(error))}.", next_step=_OTHER) from error
    raise Tampered(reason, next_step=_OTHER)


def _check_imprint(token: Any, body: bytes) -> None:
    imprint = token.message_imprint
    if imprint.hash_algorithm.dotted_string != _SHA256_OID:
        raise Tampered("The timestamp covers another digest than SHA-256.", next_step=_OTHER)
    if bytes(imprint.message) != sha256(body).digest():
        raise Tampered("The timestamp is of another checkpoint.", next_step="Find the timestamp of this checkpoint.")


def _certificate(data: bytes) -> Certificate:
    from cryptography import x509

    try:
        pem = data.lstrip().startswith(b"-----BEGIN")
        return x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid("A certificate of the timestamp authority is unreadable.", next_step="Fetch it again.") from error


def _oid(text: str) -> ObjectIdentifier:
    from cryptography.x509 import ObjectIdentifier

    try:
        return ObjectIdentifier(text)
    except (ValueError, TypeError) as error:
        raise Invalid(f"{shown(text)} is not an OID.", next_step="Use dotted numbers such as 1.2.3.4.") from error


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _signer_subject(answer: Any, tsa_certificate: bytes | None) -> str:
    """The subject of the certificate that the (verified) signer info points at."""
    signer = next(iter(answer.signed_data.signer_infos))
    found = [_certificate(item) for item in answer.signed_data.certificates]
    if tsa_certificate is not None:
        found.append(_certificate(tsa_certificate))
    for certificate in found:
        if (certificate.issuer, certificate.serial_number) == (signer.issuer, signer.serial_number):
            return certificate.subject.rfc4514_string()
    raise Tampered("The timestamp's signing certificate is missing.", next_step=_OTHER)
