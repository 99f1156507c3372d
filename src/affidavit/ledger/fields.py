"""Strict text fields of the line formats: decimal numbers, base64, lines.

Python's own parsers accept more than the formats allow (``int(" 7 ")``, ``b64decode("AB==")``,
``splitlines`` at U+2028), and each leniency is a second spelling of a signed value. These accept one.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

from affidavit.core.errors import Invalid

HASH_BYTES = 32
MAX_NUMBER = (1 << 63) - 1

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SHOWN_CHARS = 60


def shown(value: object) -> str:
    """A value cut to a length fit for an error message."""
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def number(text: str, what: str) -> int:
    """A decimal number has exactly one spelling: ASCII digits, no sign, no space, no leading zero.

    Args:
        text: the digits, 0 to 2^63 - 1.
        what: name of the field, for the error message.

    Raises:
        Invalid: any other spelling, or a larger number.

    Source: C2SP tlog-checkpoint, "Note text".
    """
    if _DECIMAL.fullmatch(text) is None or int(text) > MAX_NUMBER:
        raise Invalid(
            f"{what} is {shown(text)}, not a decimal number below 2^63 without leading zeros.",
            next_step="Fetch the file again; if it is the same, its writer does not follow the format.",
        )
    return int(text)


def base64_bytes(text: str, what: str, *, length: int | None = None) -> bytes:
    """Base64 text has exactly one spelling per value: standard alphabet, padded, unused bits zero.

    Args:
        text: the base64 text; empty decodes to no bytes.
        what: name of the field, for the error message.
        length: required number of decoded bytes, if any.

    Raises:
        Invalid: other characters, missing padding, a non-canonical ending, or another length.

    Source: RFC 4648 sections 3.5 and 4.
    """
    try:
        raw = b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"{what} is {shown(text)}, not base64.", next_step="Fetch the file again.") from error
    if b64encode(raw).decode() != text:
        raise Invalid(f"{what} is {shown(text)}, not canonical base64.", next_step="Refuse the file.")
    if length is not None and len(raw) != length:
        raise Invalid(f"{what} decodes to {len(raw)} bytes, not {length}.", next_step="Fetch the file again.")
    return raw


def base64_text(raw: bytes) -> str:
    """Canonical base64 of bytes (RFC 4648 section 4); empty for no bytes."""
    return b64encode(raw).decode()


def check_hash(value: bytes, what: str) -> bytes:
    """A hash is exactly 32 bytes; the value is returned.

    Raises:
        Invalid: another type or length.
    """
    if not isinstance(value, bytes) or len(value) != HASH_BYTES:
        raise Invalid(f"{what} is not a hash of 32 bytes.", next_step="Pass the raw SHA-256 digest.")
    return value


def check_count(value: int, what: str) -> int:
    """A size or index is an integer from 0 to 2^63 - 1; the value is returned.

    Raises:
        Invalid: another type (bool included), negative or too large.
    """
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise Invalid(f"{what} is {shown(value)}, not an integer from 0 to 2^63 - 1.", next_step="Check the caller.")
    return value


def check_line(text: str, what: str) -> str:
    """One non-empty line of text without control characters; the text is returned.

    Raises:
        Invalid: empty, a control character (below U+0020, newline included), or not encodable as UTF-8.
    """
    if not isinstance(text, str) or text == "" or any(char < " " for char in text):
        raise Invalid(f"{what} is {shown(text)}, not one line of text.", next_step="Use printable characters only.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"{what} is {shown(text)}, not Unicode text.", next_step="Use valid characters only.") from error
    return text


def text_lines(body: bytes, what: str) -> list[str]:
    r"""The lines of a text that ends in a newline, split at ``\n`` only.

    Raises:
        Invalid: not UTF-8, or no newline at the end (the empty text included).
    """
    if not isinstance(body, bytes):
        raise Invalid(f"{what} is {type(body).__name__}, not bytes.", next_step="Pass the bytes of the file.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{what} is not UTF-8 text.", next_step="Fetch the file again.") from error
    if not text.endswith("\n"):
        raise Invalid(f"{what} does not end in a newline.", next_step="Fetch the file again; it may be cut short.")
    return text[:-1].split("\n")
