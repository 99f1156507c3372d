"""RFC 3161 timestamps over checkpoints from the authority the user configured: the one network call at run time."""

from __future__ import annotations

import secrets
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from affidavit.core.errors import AffidavitError, Invalid, StoreDown
from affidavit.ledger.timestamps import MAX_RESPONSE_BYTES, make_request, verify_timestamp
from affidavit.store.durable import durable_write

TIMEOUT_S = 10.0


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


class Timestamper:
    """Stamps a checkpoint body and keeps the answer as ``timestamps/SIZE.tsr``.

    An authority that does not answer stops nothing: the checkpoint stands, unanchored, and ``missed``
    says since which size. The next publication tries again.
    """

    def __init__(self, url: str, roots: Path | None, folder: Path) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise Invalid(f"timestamps.url: {url!r} is no http address.", next_step="correct affidavit.toml.")
        self._url, self._folder = url, folder
        self._roots = pem_roots(roots) if roots else None
        self.missed: str | None = None

    def __call__(self, body: bytes, size: int) -> None:
        """Ask, verify against the pinned roots if there are any, keep."""
        nonce = secrets.randbits(63)
        try:
            answer = self._ask(make_request(body, nonce))
            if self._roots:
                verify_timestamp(body, answer, self._roots, nonce=nonce)
            durable_write(self._folder / f"{size}.tsr", answer)
            self.missed = None
        except AffidavitError as e:
            self.missed = f"size {size}: {e.problem}"

    def _ask(self, request: bytes) -> bytes:
        call = urllib.request.Request(  # noqa: S310 - the scheme was checked above
            self._url, data=request, headers={"Content-Type": "application/timestamp-query"}
        )
        try:
            with urllib.request.urlopen(call, timeout=TIMEOUT_S) as response:  # noqa: S310
                body: bytes = response.read(MAX_RESPONSE_BYTES + 1)
                return body
        except OSError as e:
            raise StoreDown(
                f"the timestamp authority {self._url} does not answer: {e}.", next_step="check its address."
            ) from None
