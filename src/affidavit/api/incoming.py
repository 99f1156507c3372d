"""What a caller sends: the API key, the bounded body, the fields of a request, an upload as a stream."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import fields
from typing import Annotated, Any, BinaryIO, cast, get_args, get_origin, get_type_hints

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest

from affidavit.api.problems import TooLarge, Unsigned, WrongMediaType
from affidavit.core import canonical, codec
from affidavit.core.area import Request, Who
from affidavit.core.errors import Invalid, NotAllowed, NotFound
from affidavit.core.fields import Attachment, Digest, Id, LocalPath, Pattern
from affidavit.service.intake import text_value, upload_of
from affidavit.service.workspace import Workspace

_BEARER = re.compile(r"bearer +([!-~]{1,500})", re.ASCII | re.IGNORECASE)
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)


def pattern_of(hint: Any) -> Pattern | None:
    """The pattern of a string type, if the hint is one."""
    if get_origin(hint) is Annotated:
        return next((m for m in get_args(hint)[1:] if isinstance(m, Pattern)), None)
    return None


async def signed_in(request: HttpRequest, workspace: Workspace) -> Who:
    """The caller of a request by its API key. Raises ``Unsigned``; nothing of that enters the ledger."""
    match = _BEARER.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise Unsigned("no API key was sent.", next_step="send the header `Authorization: Bearer afk_…`.")
    try:
        who = await run_in_threadpool(workspace.key_holder, match[1])
    except NotAllowed as e:
        raise Unsigned(e.problem, next_step=e.next_step) from None
    request.scope.setdefault("state", {})["principal"] = who.principal
    return who


async def body_of(request: HttpRequest, limit: int) -> bytes:
    """The body, at most ``limit`` bytes. Raises ``TooLarge`` without reading on, ``WrongMediaType`` if encoded."""
    check_length(request, limit)
    found, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        found.append(chunk)
    return b"".join(found)


def check_length(request: HttpRequest, limit: int) -> None:
    """Refuse a declared length beyond ``limit``, and an encoded body (it could unpack to any length)."""
    declared = request.headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit():
        raise Invalid("Content-Length is no number.", next_step="send the length in bytes.")
    if len(declared) > 18 or int(declared) > limit:
        raise too_large(limit)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise WrongMediaType("encoded bodies are not read.", next_step="send it without Content-Encoding.")


def too_large(limit: int) -> TooLarge:
    """The error for a body beyond ``limit``."""
    return TooLarge(f"the body has more than {limit} bytes.", next_step="upload matter by PUT /v1/objects.")


async def json_of(request: HttpRequest, limit: int) -> Any:
    """The JSON value of the body. Raises ``WrongMediaType``, ``TooLarge`` or ``Invalid``."""
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise WrongMediaType("the body is not application/json.", next_step="send Content-Type: application/json.")
    return canonical.parse(await body_of(request, limit))


def request_from_json(cls: type[Request], value: Any) -> Request:
    """The request of a JSON body. Raises ``Invalid`` naming the field, also for a path of the server's machine."""
    return check_paths(cast(Request, codec.load_object(cls, value)))


def request_from_query(cls: type[Request], pairs: Iterable[tuple[str, str]]) -> Request:
    """The request of a query string, by the rules of command-line strings. Raises ``Invalid``."""
    texts: dict[str, list[str]] = defaultdict(list)
    for name, text in pairs:
        texts[name].append(text)
    known = {f.name: f for f in codec.plan(cls).fields}
    given = {n: text_value(known[n], t) if n in known else t for n, t in texts.items()}
    return check_paths(cast(Request, codec.load_object(cls, given)))


def check_paths(request: Request) -> Request:
    """The request, unless a ``LocalPath`` field holds anything but a digest. Raises ``Invalid``."""
    digest, path = pattern_of(Digest), pattern_of(LocalPath)
    hints = get_type_hints(type(request), include_extras=True)
    for name, hint in hints.items():
        value = getattr(request, name, None)
        if path in map(pattern_of, (hint, *get_args(hint))) and value is not None:
            for text in (value,) if isinstance(value, str) else value:
                if digest is None or digest.problem(text):
                    raise Invalid(f"{name}: the server reads no paths.",
                                  next_step="upload it by PUT /v1/objects and give its digest.")  # fmt: skip
    return request


def attachments(request: Any) -> dict[str, Attachment]:
    """The attachments of a request by field name."""
    found = {f.name: getattr(request, f.name) for f in fields(request)}
    return {name: value for name, value in found.items() if isinstance(value, Attachment)}


def check_attachments(workspace: Workspace, request: Request) -> None:
    """Raise ``NotFound`` or ``Invalid`` unless every attachment is a stored object, of the length and kind it says."""
    for name, given in attachments(request).items():
        mark = upload_of(type(request), name)
        if mark is not None and (given.type, given.kind) != (mark.type, mark.kind):
            raise Invalid(f"{name}: it must have type {mark.type} and kind {mark.kind}.", next_step=f"correct {name}.")
        if not workspace.stores.objects.has(given.digest):
            raise NotFound(f"{name}: {given.digest} is not stored.", next_step="upload it first: PUT /v1/objects.")
        with workspace.stores.objects.open(given.digest) as stored:
            size = stored.seek(0, io.SEEK_END)
        if size != given.bytes:
            raise Invalid(
                f"{name}: the object has {size} bytes, not {given.bytes}.", next_step=f"correct {name}.bytes."
            )


def command_id_of(request: HttpRequest) -> str | None:
    """The ``Idempotency-Key`` of a request. Raises ``Invalid`` unless it is one UUID."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    text = given[0].strip().strip('"').lower()
    pattern = pattern_of(Id)
    if len(given) > 1 or pattern is None or pattern.problem(text):
        raise Invalid("Idempotency-Key is not one UUID.", next_step="draw one UUID per command, keep it for retries.")
    return text


def index_of(text: str, name: str = "index") -> int:
    """A non-negative integer of a path or query string. Raises ``Invalid``."""
    if not _INDEX.fullmatch(text):
        raise Invalid(f"{name}: {text[:40]!r} is not an integer of at least 0.", next_step="write digits only.")
    return int(text)


def only(request: HttpRequest, *names: str) -> dict[str, list[str]]:
    """The query parameters, all of ``names``. Raises ``Invalid`` for any other."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for name, text in request.query_params.multi_items():
        if name not in found:
            known = ", ".join(names) or "none"
            raise Invalid(f"unknown query parameter {name[:40]!r}.", next_step=f"known: {known}.")
        found[name].append(text)
    return found


def single(texts: list[str], name: str, default: str | None = None) -> str:
    """The one value of a query parameter. Raises ``Invalid`` if it is missing or repeated."""
    if len(texts) > 1 or (not texts and default is None):
        raise Invalid(f"{name} is given {len(texts)} times.", next_step=f"give {name} once.")
    return texts[0] if texts else cast(str, default)


class Upload(io.RawIOBase):
    """An HTTP body as a file, for a store that reads it in a worker thread: at most one chunk is in memory.

    A sender that pauses for ``stall_s`` seconds loses its turn.
    """

    stall_s = 60.0

    def __init__(self, chunks: AsyncIterator[bytes], limit: int) -> None:
        super().__init__()
        self._chunks, self._limit = chunks, limit
        self._held, self._seen = memoryview(b""), 0

    def readable(self) -> bool:
        """It is only read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes of the next chunk; empty at the end. Raises ``TooLarge``."""
        while not self._held:
            chunk = anyio.from_thread.run(self._next)
            if chunk is None:
                return b""
            self._seen += len(chunk)
            if self._seen > self._limit:
                raise too_large(self._limit)
            self._held = memoryview(chunk)
        size = len(self._held) if size < 0 else size
        part, self._held = self._held[:size], self._held[size:]
        return bytes(part)

    async def _next(self) -> bytes | None:
        try:
            with anyio.fail_after(self.stall_s):
                return await anext(self._chunks, None)
        except TimeoutError:
            raise Invalid(f"no bytes came for {self.stall_s:g} s.", next_step="send the upload again.") from None

    def stream(self) -> BinaryIO:
        """The same object under the type that stores read."""
        return cast(BinaryIO, self)
