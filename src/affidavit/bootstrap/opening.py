"""Opening a workspace: settings, concrete stores, recovery; loading a model."""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from affidavit import __version__
from affidavit.areas.catalog import catalog
from affidavit.bootstrap.keyring import file_signer, lock_of, read_log_vkey, with_log_key
from affidavit.core.envelope import Draft, split
from affidavit.core.errors import AffidavitError, Invalid, NotFound, StoreDown, Tampered
from affidavit.core.ledger_facts import VersionChanged
from affidavit.core.ports import Clock
from affidavit.service.key_line import key_line
from affidavit.service.readings import Reading
from affidavit.service.recovery import Recovered, recover
from affidavit.service.stores import Stores
from affidavit.service.workspace import Workspace
from affidavit.store.clock import SimulatedClock, SystemClock
from affidavit.store.files import FileObjectStore, FileTileStore
from affidavit.store.head import PublishedHead, SqliteHeadStore, default_head_dir
from affidavit.store.hooks import Hooks
from affidavit.store.rowstore import NoRows, RowStore
from affidavit.store.signer import FileSigner, LostSigner, load_key
from affidavit.store.sqlite import SqliteEntryStore
from affidavit.store.vault import SqliteVault

SETTINGS = "affidavit.toml"


SIMULATED = "/simulated"


ORIGIN = re.compile(r"[a-z0-9.-]+(/[a-z0-9.-]+)*", re.ASCII)


FORMAT = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``affidavit.toml`` says: where things are, never what happened."""

    origin: str
    head: Path
    timestamp_url: str | None
    timestamp_roots: Path | None


def read_settings(root: Path) -> Settings:
    """The settings of a workspace. Raises ``NotFound`` for a folder that is none, ``Invalid`` for a bad file."""
    file = root / SETTINGS
    try:
        body = tomllib.loads(file.read_text("utf-8"))
    except OSError:
        raise NotFound(
            f"{root} is no workspace: it has no {SETTINGS}.", next_step="make one: affidavit init PATH."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise Invalid(f"{file}: {e}.", next_step="correct the file.") from None
    if extra := set(body) - {"format", "origin", "head", "timestamps"}:
        raise Invalid(f"{file}: unknown key {min(extra)!r}.", next_step="see docs/reference/settings.md.")
    if body.get("format") != FORMAT:
        raise Invalid(
            f"{file}: format {body.get('format')!r}; this release reads {FORMAT}.", next_step="use a newer release."
        )
    origin = body.get("origin")
    if not isinstance(origin, str) or not ORIGIN.fullmatch(origin):
        raise Invalid(f"{file}: {origin!r} is no log origin.", next_step="restore the file.")
    head = _texts(file, body, "head", "folder").get("folder")
    stamps = _texts(file, body, "timestamps", "url", "roots")
    roots = stamps.get("roots")
    return Settings(
        origin,
        (root / head if head else default_head_dir(origin)) / "head.db",
        stamps.get("url"),
        root / roots if roots else None,
    )


def _texts(file: Path, body: dict[str, Any], table: str, *known: str) -> dict[str, str]:
    """A table of the settings that holds texts under known keys. Raises ``Invalid``."""
    found = body.get(table, {})
    if not isinstance(found, dict):
        raise Invalid(f"{file}: {table} is no table.", next_step=f"write [{table}] and its keys below.")
    for key, value in found.items():
        if key not in known or not isinstance(value, str) or "\0" in value:
            raise Invalid(f"{file}: {table}.{key} is unknown or no text.", next_step="see docs/reference/settings.md.")
    return found


def stores_of(root: Path, settings: Settings, clock: Clock, hooks: Hooks | None, *, create: bool = False) -> Stores:
    """The concrete stores of a workspace folder. Raises what they raise when opened.

    ``create`` makes missing databases (``init`` alone does). The log key is the one in ``keys/`` or, without
    it, that of ``log.vkey``: ``with_log_key`` compares it with the entries.
    """
    turn = lock_of(root / "publish.lock")
    keys = root / "keys"
    signer = file_signer(root, settings.origin, "log.key") or LostSigner("")
    must_exist = not create
    return Stores(
        origin=settings.origin,
        entries=SqliteEntryStore(root / "ledger.db", hooks=hooks, must_exist=must_exist),
        tiles=FileTileStore(root / "log", hooks=hooks),
        head=SqliteHeadStore(settings.head, hooks=hooks),
        objects=FileObjectStore(root / "objects", hooks=hooks),
        segments=FileObjectStore(root / "segments", hooks=hooks),
        spool=root / "spool",
        vault=SqliteVault(root / "vault.db", hooks=hooks, must_exist=must_exist),
        operational=RowStore(root / "operational.db", load_key(keys / "operational.key")),
        clock=clock,
        log_signer=signer,
        artifact_signer=FileSigner(f"{settings.origin}/artifacts", keys / "artifact.key"),
        publish_lock=lambda: turn(10.0),
        random=secrets.token_bytes,
        timestamp=_timestamper(root, settings),
        stamps=lambda size: stamps_of(root / "timestamps", size),
        join=join_of(keys / "join.key"),
        present_vkey=lambda: read_log_vkey(root),
        key_lock=lock_of(root / "keys.lock"),
    )


def stamps_of(folder: Path, size: int) -> list[bytes]:
    """The RFC 3161 answers kept over the checkpoint of a size."""
    file = folder / f"{size}.tsr"
    return [file.read_bytes()] if file.is_file() else []


def join_of(file: Path) -> Callable[[bytes], bytes]:
    """The keyed hash that protected attributes are filed under: HMAC-SHA-256 with the workspace's join key."""

    @cache
    def key() -> bytes:
        return load_key(file)

    def join(decision: bytes) -> bytes:
        return hmac.digest(key(), b"affidavit/join/v1\0" + decision, "sha256")

    return join


def _timestamper(root: Path, settings: Settings) -> Any:
    if settings.timestamp_url is None:
        return None
    from affidavit.store.tsa import Timestamper

    return Timestamper(settings.timestamp_url, settings.timestamp_roots, root / "timestamps")


def open_workspace(
    path: str | Path = ".",
    *,
    by: str | None = None,
    key: str | None = None,
    clock: Clock | None = None,
    hooks: Hooks | None = None,
) -> Workspace:
    """Open a workspace: bring stores and signed head together, then act as ``by`` (a name) or ``key``.

    Without either, ``AFFIDAVIT_KEY`` is used if set. Raises ``NotFound``, ``Invalid``, ``Tampered`` (the
    signed head cannot be reached), ``NotAllowed`` for a bad key.
    """
    workspace, _ = open_recovered(path, clock=clock, hooks=hooks)
    key = key or (os.environ.get("AFFIDAVIT_KEY") if by is None else None)
    if key:
        workspace.who = workspace.key_holder(key)
    elif by:
        workspace.who = workspace.as_named(by)
    return workspace


def open_recovered(
    path: str | Path, *, clock: Clock | None = None, hooks: Hooks | None = None
) -> tuple[Workspace, Recovered]:
    """A workspace with the account of what start-up had to mend."""
    root = Path(path).absolute()
    settings = read_settings(root)
    if clock is None:
        clock = clock_of(root, settings)
    known = catalog()
    stores = stores_of(root, settings, clock, hooks)
    _refuse_emptied(root, stores)
    workspace = Workspace(with_log_key(root, stores, known), known)
    found = recover(workspace.executor)
    _note_version(workspace)
    return workspace, found


def _refuse_emptied(root: Path, stores: Stores) -> None:
    """The first administrator's name is in the vault from the beginning on, if only as erased."""
    if stores.entries.size() and next(iter(stores.vault.all()), None) is None:
        raise StoreDown(f"{root / 'vault.db'} is empty: the private texts of the log are gone.",
                        next_step="restore vault.db from a backup.")  # fmt: skip


def clock_of(root: Path, settings: Settings) -> Clock:
    """The clock kind that the origin states; a simulated clock stands at the newest entry."""
    if not settings.origin.endswith(SIMULATED):
        return SystemClock()
    entries = SqliteEntryStore(root / "ledger.db", must_exist=True)
    try:
        size = entries.size()
        if not size:
            return SimulatedClock(SystemClock().now())
        return SimulatedClock(split(next(iter(entries.entries(size - 1, size)))).head.at)
    finally:
        entries.close()


def _note_version(workspace: Workspace) -> None:
    """Append the change of product version, if this release is another than the last that wrote."""
    with workspace.stores.entries.read() as tx:
        log = Reading(tx, workspace.catalog, workspace.executor.book).view("log")
        row = log.one(
            "SELECT idx FROM {meta} WHERE tag IN ('ledger.opened', 'ledger.version_changed') ORDER BY idx DESC LIMIT 1"
        )
    if row is None:
        raise Tampered("the log is not opened by ledger.opened.", next_step="restore the workspace.")
    before = workspace.executor.record(row[0]).fact.version
    if before != __version__:
        rules = workspace.executor
        with workspace.stores.entries.read() as tx:
            policy = rules.policy(Reading(tx, workspace.catalog, rules.book).rules())
        workspace.append([Draft(VersionChanged(__version__, before), ("ledger:log",))], policy)


def load_model(uri: str, *, workspace: str | Path | Workspace | None = None) -> Any:
    """``models:/employment@production`` or ``models:/employment/3``: verified before a byte is used.

    The workspace is the one given, or ``AFFIDAVIT_WORKSPACE``, or the present folder. The load is
    recorded. Raises ``Tampered`` (and opens an incident) if a stored byte changed.
    """
    match = re.fullmatch(r"models:/([a-z][a-z0-9-]*)(?:/([1-9][0-9]*)|@([a-z][a-z0-9-]*))", uri, re.ASCII)
    if not match:
        raise Invalid(f"{uri!r} is no model URI.", next_step="write models:/NAME/3 or models:/NAME@production.")
    if not isinstance(workspace, Workspace):
        workspace = open_workspace(workspace or os.environ.get("AFFIDAVIT_WORKSPACE", "."))
    model, number, env = match.groups()
    if env:
        served = workspace.ask("registry.live", model, env)
        if served is None:
            raise NotFound(
                f"no version of {model} serves {env}.",
                next_step=f"promote one: affidavit registry promote {model}/N --to {env}.",
            )
        number = str(served["number"])
    return workspace.registry.load(f"{model}/{number}", **({"env": env} if env else {})).result


def open_for_inspection(path: str | Path, vkey: str | None = None) -> Workspace:
    """A workspace as it lies there: nothing is recovered, published or written. For ``affidavit verify``.

    ``vkey`` is the log key the caller trusts; by default the one in ``log.vkey``. Key files are not needed.
    """
    root = Path(path).absolute()
    settings = read_settings(root)
    trusted = vkey or read_log_vkey(root)
    head = SqliteHeadStore(settings.head) if settings.head.is_file() else None
    operational = root / "keys" / "operational.key"
    stores = Stores(
        origin=settings.origin,
        entries=SqliteEntryStore(root / "ledger.db", must_exist=True),
        tiles=FileTileStore(root / "log"),
        head=head or PublishedHead(root / "log" / "checkpoint"),
        objects=FileObjectStore(root / "objects"),
        segments=FileObjectStore(root / "segments"),
        spool=root / "spool",
        vault=SqliteVault(root / "vault.db", must_exist=True),
        operational=RowStore(root / "operational.db", load_key(operational)) if operational.exists() else NoRows(),
        clock=SystemClock(),
        log_signer=LostSigner(trusted),
        artifact_signer=LostSigner(""),
        publish_lock=contextlib.nullcontext,
        random=secrets.token_bytes,
    )
    with contextlib.suppress(AffidavitError):  # a broken line of keys is for the inspection to name
        line = key_line(stores)
        if line.rotated_from(trusted):
            signer = LostSigner(line.last if vkey else trusted)
            stores = replace(stores, log_signer=signer, earlier_vkeys=tuple(v for v in line.vkeys if v != signer.vkey))
    return Workspace(stores, catalog())


def memory_entries() -> Any:
    """An empty entry store in memory, to replay a ledger into."""
    from affidavit.store.memory import MemoryEntryStore

    return MemoryEntryStore()
