"""The one place that names concrete stores: make a workspace, open one, load a model."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from affidavit import __version__
from affidavit.areas.access.events import GrantApproved, PrincipalRegistered, RulesAdopted
from affidavit.areas.catalog import Catalog, catalog
from affidavit.core.area import Who
from affidavit.core.commitment import KEY_BYTES, commit
from affidavit.core.envelope import Draft, split
from affidavit.core.errors import Invalid, NotFound, Tampered
from affidavit.core.fields import Attachment, VaultText, check_text, sealed
from affidavit.core.ledger_facts import LedgerOpened, VersionChanged
from affidavit.core.ports import Clock, Signer
from affidavit.ledger.keys import Ed25519Signer
from affidavit.service import views
from affidavit.service.readings import Reading, parse_rules
from affidavit.service.recovery import Recovered, recover
from affidavit.service.sealing import new_id
from affidavit.service.stores import Stores
from affidavit.service.workspace import Workspace
from affidavit.store.clock import SimulatedClock, SystemClock
from affidavit.store.durable import durable_write
from affidavit.store.files import FileObjectStore, FileTileStore
from affidavit.store.head import SqliteHeadStore, default_head_dir
from affidavit.store.hooks import Hooks
from affidavit.store.lock import FileLock
from affidavit.store.rowstore import RowStore
from affidavit.store.signer import FileSigner, LostSigner, create_key, load_key
from affidavit.store.sqlite import SqliteEntryStore
from affidavit.store.vault import SqliteVault

SETTINGS = "affidavit.toml"
SIMULATED = "/simulated"
_ORIGIN = re.compile(r"[a-z0-9.-]+(/[a-z0-9.-]+)*", re.ASCII)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``affidavit.toml`` says: where things are, never what happened."""

    origin: str
    head: Path
    timestamp_url: str | None
    timestamp_roots: Path | None


@dataclass(frozen=True, slots=True)
class Created:
    """A new workspace: what is shown once and kept nowhere is here."""

    workspace: Workspace
    admin: Who
    api_key: str
    recovery_secret: str


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
        raise Invalid(f"{file}: unknown key {sorted(extra)[0]!r}.", next_step="see docs/reference/settings.md.")
    if body.get("format") != _FORMAT:
        raise Invalid(
            f"{file}: format {body.get('format')!r}; this release reads {_FORMAT}.", next_step="use a newer release."
        )
    origin = body.get("origin")
    if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
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


def _stores(root: Path, settings: Settings, clock: Clock, hooks: Hooks | None) -> Stores:
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


def init(
    path: str | Path,
    *,
    admin: str = "administrator",
    origin: str | None = None,
    clock: Clock | Literal["system", "simulated"] = "system",
    start: datetime | None = None,
    head: str | None = None,
    rules: bytes | None = None,
) -> Created:
    """Make a workspace with its first administrator, default rules and an open, published log.

    ``head`` puts the head store into a folder of the workspace (relative) or elsewhere (absolute); by
    default it lies in the user's state folder. Everything is made in a folder beside ``path`` and
    renamed at the end: a failure leaves nothing. Raises ``Invalid`` or ``StoreDown``.
    """
    root = Path(path).absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise Invalid(f"{root} exists and is not an empty folder.", next_step="choose another path.")
    check_text("admin", admin)
    if isinstance(clock, str):
        clock = SystemClock() if clock == "system" else SimulatedClock(start or SystemClock().now())
    origin = _origin(origin, root.name, simulated=clock.kind == "simulated")
    building = root.with_name(f".{root.name}.{secrets.token_hex(4)}.init")
    try:
        building.mkdir(parents=True, mode=0o700)
        secret = _lay_out(building, origin, head)
        settings = read_settings(building)
        if settings.head.exists() and not head:
            _refuse_known(settings, origin)
        stores = _stores(building, settings, clock, None)
        recovery = Ed25519Signer(f"{origin}/recovery", secret)
        who = _open_ledger(stores, catalog(), admin, recovery.vkey, rules)
        stores.entries.close()
        if root.exists():
            root.rmdir()
        building.rename(root)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    workspace = open_workspace(root, clock=clock).acting(who)
    issued = workspace.access.issue_key(
        principal=who.principal, for_env="production", expires=clock.now() + timedelta(days=365)
    )
    workspace.publish()
    return Created(workspace, who, issued.result["key"], recovery.secret_key())


def _refuse_known(settings: Settings, origin: str) -> None:
    known = SqliteHeadStore(settings.head)
    try:
        if known.fetch(origin) is not None:
            raise Invalid(f"the head store knows a log {origin}.", next_step="choose another --origin.")
    finally:
        known.close()


def _origin(origin: str | None, name: str, *, simulated: bool) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "workspace"
    origin = origin or f"affidavit.local/{slug}-{secrets.token_hex(4)}"
    if simulated and not origin.endswith(SIMULATED):
        origin += SIMULATED
    if not simulated and origin.endswith(SIMULATED):
        raise Invalid(
            f"origin {origin!r} says simulated, the clock is the system's.", next_step="choose another origin."
        )
    if not _ORIGIN.fullmatch(origin) or len(origin) > 100:
        raise Invalid(
            f"{origin!r} is no log origin.", next_step="use a name such as example.org/risk (a-z, 0-9, . - /)."
        )
    return origin


def _lay_out(root: Path, origin: str, head: str | None) -> bytes:
    """Folders, keys and settings of a new workspace; the seed of the recovery key, which is stored nowhere."""
    for name in ("log.key", "artifact.key", "operational.key"):
        create_key(root / "keys" / name)
    for folder in ("log", "objects", "timestamps", "segments", "spool"):
        (root / folder).mkdir()
    text = f'format = {_FORMAT}\norigin = "{origin}"\n'
    if head:
        text += f'\n[head]\nfolder = "{Path(head).as_posix()}"\n'
    durable_write(root / SETTINGS, text.encode())
    durable_write(root / "log.vkey", (FileSigner(origin, root / "keys/log.key").vkey + "\n").encode())
    return secrets.token_bytes(32)


def _open_ledger(stores: Stores, known: Catalog, admin: str, recovery: str, rules: bytes | None) -> Who:
    """Entry 0 and what stands beside it: the clock, the keys, the first administrator, the rules."""
    from importlib import resources

    text = rules or resources.files("affidavit.service").joinpath("rules.yaml").read_bytes()
    parse_rules(text, known)
    digest, size = stores.objects.put(BytesIO(text))
    principal = f"p-{secrets.token_hex(16)}"
    who = Who(principal, "os-user")
    command_id = new_id(stores, stores.clock.now())
    vault_id, key = stores.vault.put(command_id, "name", admin, stores.random(KEY_BYTES))
    name = sealed(VaultText(admin), commit(key, "name", admin), vault_id)
    workspace = Workspace(stores, known, who)
    opened = LedgerOpened(stores.clock.kind, __version__, stores.log_signer.vkey, recovery, stores.artifact_signer.vkey)
    attachment = Attachment(digest, size, "application/yaml", "rules")
    grant = _uuid(stores.random(16))
    drafts = [
        Draft(opened, ("ledger:log",)),
        Draft(RulesAdopted(attachment, principal, genesis=True), ("rules:workspace",)),
        Draft(PrincipalRegistered(principal, "person", name), (f"principal:{principal}",)),
        Draft(
            GrantApproved(grant, principal, "admin", "*", genesis=True), (f"principal:{principal}", f"grant:{grant}")
        ),
    ]
    with stores.entries.write() as tx:
        views.make(tx, known)
        workspace.executor.append_facts(tx, drafts, who, area="access", command_id=command_id)
    return who


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], "4" + text[13:16], "8" + text[17:20], text[20:32]))


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
        clock = _clock_of(root, settings)
    stores = _stores(root, settings, clock, hooks)
    workspace = Workspace(stores, catalog())
    found = recover(workspace.executor)
    _note_version(workspace)
    return workspace, found


def _clock_of(root: Path, settings: Settings) -> Clock:
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


def next_log_key(path: str | Path) -> tuple[FileSigner, Any]:
    """A fresh log key beside the present one, and the step that puts it into its place.

    A key left by an interrupted change is used again. The old key is not kept, its public half is.
    """
    root = Path(path).absolute()
    settings = read_settings(root)
    present, fresh = root / "keys" / "log.key", root / "keys" / "log-next.key"
    if not fresh.exists():
        create_key(fresh)
    signer = FileSigner(settings.origin, fresh)

    def install() -> None:
        number = len(list((root / "keys").glob("log-old-*.vkey"))) + 1
        old = (root / "log.vkey").read_bytes()
        durable_write(root / "keys" / f"log-old-{number}.vkey", old)
        fresh.replace(present)
        durable_write(root / "log.vkey", (signer.vkey + "\n").encode())

    return signer, install


def adopt_moved_head(path: str | Path, by: str | None) -> int:
    """Take the published checkpoint of a moved workspace as head; the size adopted."""
    from affidavit.service.upkeep import adopt_head

    root = Path(path).absolute()
    settings = read_settings(root)
    workspace = Workspace(_stores(root, settings, _clock_of(root, settings), None), catalog())
    try:
        who = workspace.as_named(by) if by else workspace.key_holder(os.environ.get("AFFIDAVIT_KEY", ""))
        return adopt_head(workspace, who)
    finally:
        workspace.close()


def memory_entries() -> Any:
    """An empty entry store in memory, to replay a ledger into."""
    from affidavit.store.memory import MemoryEntryStore

    return MemoryEntryStore()
