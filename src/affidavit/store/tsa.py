"""RFC 3161 timestamps over checkpoints from the authority the user configured: the one network call at run time."""

from __future__ import annotations

import hashlib
import http.client
import queue
import secrets
import threading
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from affidavit.core.errors import AffidavitError, Invalid, StoreDown, Tampered
from affidavit.ledger.timestamps import MAX_RESPONSE_BYTES, make_request, verify_timestamp
from affidavit.store.durable import durable_write, wrapping_os

TIMEOUT_S = 10.0
_ASK = "check the address of the authority; the next publication asks again."


def pem_roots(path: Path) -> list[bytes]:
    """The DER certificates of a PEM file. Raises ``Invalid``."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        return [c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(path.read_bytes())]
    except (OSError, ValueError) as e:
        raise Invalid(
            f"{path} holds no certificates: {e}.", next_step="give the PEM file of the authority's root."
        ) from None


def check_answer(body: bytes, answer: bytes, nonce: int) -> None:
    """What can be said of an answer without the authority's root: it grants, and is of this body and request.

    Raises ``Invalid`` for what is no answer of RFC 3161, ``Tampered`` for one to another request. The
    signature is checked by ``verify_timestamp`` alone.
    """
    if not 0 < len(answer) <= MAX_RESPONSE_BYTES:
        raise Invalid(f"an answer of {len(answer)} bytes is no timestamp.", next_step=_ASK)
    try:
        whole, rest = _element(answer, 0x30)
        status, token = _element(whole, 0x30)
        granted, _ = _element(status, 0x02)
        content, after = _element(token, 0x30)
    except (IndexError, ValueError):
        raise Invalid("the answer is no RFC 3161 timestamp.", next_step=_ASK) from None
    if rest or after:
        raise Invalid("the answer has bytes behind the timestamp.", next_step=_ASK)
    if granted != b"\x00":
        raise Invalid(f"the authority refused: status {granted.hex()}.", next_step=_ASK)
    number = nonce.to_bytes(nonce.bit_length() // 8 + 1, "big")
    imprint = b"\x04\x20" + hashlib.sha256(body).digest()
    if imprint not in content or b"\x02" + bytes([len(number)]) + number not in content:
        raise Tampered("the answer is of another checkpoint or request.", next_step=_ASK)


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Content of the DER element at the beginning, and what follows it. Raises ``IndexError`` or ``ValueError``."""
    if data[0] != tag:
        raise ValueError
    length, start = data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError
    return data[start : start + length], data[start + length :]


class Timestamper:
    """Stamps a checkpoint body and keeps the answer as ``timestamps/SIZE.tsr``.

    An authority that does not answer stops nothing: the checkpoint stands, unanchored, and ``missed``
    says since which size. The next publication tries again; a size with its stamp is not stamped again.
    """

    def __init__(self, url: str, roots: Path | None, folder: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        try:
            scheme = urlsplit(url).scheme
        except ValueError:
            scheme = ""
        if scheme not in ("http", "https"):
            raise Invalid(f"timestamps.url: {url!r} is no http address.", next_step="correct affidavit.toml.")
        self._url, self._folder, self._timeout_s = url, folder, timeout_s
        self._roots = pem_roots(roots) if roots else None
        self.missed: str | None = None

    def __call__(self, body: bytes, size: int) -> None:
        """Ask, verify against the pinned roots if there are any, keep."""
        file, nonce = self._folder / f"{size}.tsr", secrets.randbits(63)
        try:
            with wrapping_os(file, "looking for"):
                if file.is_file() and file.stat().st_size:
                    return
            answer = self._ask(make_request(body, nonce))
            check_answer(body, answer, nonce)
            if self._roots:
                verify_timestamp(body, answer, self._roots, nonce=nonce)
            durable_write(file, answer)
            self.missed = None
        except AffidavitError as e:
            self.missed = f"size {size}: {e.problem}"

    def _ask(self, request: bytes) -> bytes:
        """The answer within the deadline, however slowly its bytes come in: the asking thread is left to itself then."""
        answers: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
        asking = threading.Thread(target=lambda: answers.put(self._exchange(request)), daemon=True)
        asking.start()
        try:
            found = answers.get(timeout=self._timeout_s)
        except queue.Empty:
            found = TimeoutError(f"no answer within {self._timeout_s:g} s")
        if isinstance(found, Exception):
            raise StoreDown(
                f"the timestamp authority {self._url} does not answer: {found}.", next_step="check its address."
            )
        return found

    def _exchange(self, request: bytes) -> bytes | Exception:
        try:
            call = urllib.request.Request(  # noqa: S310 - the scheme was checked above
                self._url, data=request, headers={"Content-Type": "application/timestamp-query"}
            )
            with urllib.request.urlopen(call, timeout=self._timeout_s) as response:  # noqa: S310
                body: bytes = response.read(MAX_RESPONSE_BYTES + 1)
                return body
        except (OSError, http.client.HTTPException, ValueError) as e:
            return e
