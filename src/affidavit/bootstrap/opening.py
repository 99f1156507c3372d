"""Opening a workspace: settings, concrete stores, recovery; loading a model."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affidavit import __version__
from affidavit.areas.catalog import catalog
from affidavit.core.envelope import Draft, split
from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.core.ledger_facts import VersionChanged
from affidavit.core.ports import Clock, Signer
from affidavit.service.readings import Reading
from affidavit.service.recovery import Recovered, recover
from affidavit.service.stores import Stores
from affidavit.service.workspace import Workspace
from affidavit.store.clock import SimulatedClock, SystemClock
from affidavit.store.files import FileObjectStore, FileTileStore
from affidavit.store.head import PublishedHead, SqliteHeadStore, default_head_dir
from affidavit.store.hooks import Hooks
from affidavit.store.lock import FileLock
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
    head = body.get("head", {}).get("folder")
    stamps = body.get("timestamps", {})
    roots = stamps.get("roots")
    return Settings(
        origin,
        (root / head if head else default_head_dir(origin)) / "head.db",
        stamps.get("url"),
        root / roots if roots else None,
    )


def stores_of(root: Path, settings: Settings, clock: Clock, hooks: Hooks | None) -> Stores:
    """The concrete stores of a workspace folder. Raises what they raise when opened."""
    lock = FileLock(root / "publish.lock")

    @contextlib.contextmanager
    def publish_lock() -> Iterator[None]:
        lock.acquire(10.0)
        try:
            yield
        finally:
            lock.release()

    keys = root / "keys"
    present = (root / "log.vkey").read_text("utf-8").strip() if (root / "log.vkey").exists() else ""
    signer: Signer = LostSigner(present)
    if (keys / "log.key").exists():
        signer = FileSigner(settings.origin, keys / "log.key")
    earlier = [FileSigner(settings.origin, k).vkey for k in sorted(keys.glob("log-*.key"))]
    earlier += [v for v in (k.read_text("utf-8").strip() for k in sorted(keys.glob("log-*.vkey"))) if v]
    return Stores(
        origin=settings.origin,
        entries=SqliteEntryStore(root / "ledger.db", hooks=hooks),
        tiles=FileTileStore(root / "log", hooks=hooks),
        head=SqliteHeadStore(settings.head, hooks=hooks),
        objects=FileObjectStore(root / "objects", hooks=hooks),
        vault=SqliteVault(root / "vault.db", hooks=hooks),
        operational=RowStore(root / "operational.db", load_key(keys / "operational.key")),
        clock=clock,
        log_signer=signer,
        earlier_vkeys=tuple(v for v in (present, *earlier) if v and v != signer.vkey),
        artifact_signer=FileSigner(f"{settings.origin}/artifacts", keys / "artifact.key"),
        publish_lock=publish_lock,
        random=secrets.token_bytes,
        timestamp=_timestamper(root, settings),
    )


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
    stores = stores_of(root, settings, clock, hooks)
    workspace = Workspace(stores, catalog())
    found = recover(workspace.executor)
    _note_version(workspace)
    return workspace, found


def clock_of(root: Path, settings: Settings) -> Clock:
    """The clock kind that the origin states; a simulated clock stands at the newest entry."""
    if not settings.origin.endswith(SIMULATED):
        return SystemClock()
    entries = SqliteEntryStore(root / "ledger.db")
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
    for name in ("ledger.db", "vault.db"):
        if not (root / name).is_file():
            raise NotFound(f"{root / name} is missing.", next_step="restore it from a backup.")
    trusted = vkey or (root / "log.vkey").read_text("utf-8").strip()
    head = SqliteHeadStore(settings.head) if settings.head.is_file() else None
    operational = root / "keys" / "operational.key"
    stores = Stores(
        origin=settings.origin,
        entries=SqliteEntryStore(root / "ledger.db"),
        tiles=FileTileStore(root / "log"),
        head=head or PublishedHead(root / "log" / "checkpoint"),
        objects=FileObjectStore(root / "objects"),
        vault=SqliteVault(root / "vault.db"),
        operational=RowStore(root / "operational.db", load_key(operational)) if operational.exists() else NoRows(),
        clock=SystemClock(),
        log_signer=LostSigner(trusted),
        artifact_signer=LostSigner(""),
        publish_lock=contextlib.nullcontext,
        random=secrets.token_bytes,
    )
    return Workspace(stores, catalog())


def memory_entries() -> Any:
    """An empty entry store in memory, to replay a ledger into."""
    from affidavit.store.memory import MemoryEntryStore

    return MemoryEntryStore()
