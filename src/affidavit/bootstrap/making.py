"""Making a workspace: keys, settings, entry 0, the first administrator."""

from __future__ import annotations

import re
import secrets
import shutil
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Literal

from affidavit import __version__
from affidavit.areas.access.events import GrantApproved, PrincipalRegistered, RulesAdopted
from affidavit.areas.catalog import Catalog, catalog
from affidavit.bootstrap.opening import (
    FORMAT,
    ORIGIN,
    SETTINGS,
    SIMULATED,
    Settings,
    open_workspace,
    read_settings,
    stores_of,
)
from affidavit.core.area import Who
from affidavit.core.commitment import KEY_BYTES, commit
from affidavit.core.envelope import Draft
from affidavit.core.errors import AffidavitError, Invalid
from affidavit.core.fields import Attachment, VaultText, check_text, sealed
from affidavit.core.ledger_facts import LedgerOpened
from affidavit.core.ports import Clock
from affidavit.ledger.keys import Ed25519Signer
from affidavit.service import views
from affidavit.service.readings import parse_rules
from affidavit.service.sealing import new_id
from affidavit.service.stores import Stores
from affidavit.service.workspace import Workspace
from affidavit.store.clock import SimulatedClock, SystemClock
from affidavit.store.durable import durable_write, sync_folder, wrapping_os
from affidavit.store.head import SqliteHeadStore
from affidavit.store.signer import FileSigner, create_key


@dataclass(frozen=True, slots=True)
class Created:
    """A new workspace: what is shown once and kept nowhere is here."""

    workspace: Workspace
    admin: Who
    api_key: str = field(repr=False)
    recovery_secret: str = field(repr=False)


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
    check_text("admin", admin)
    root = _place(path)
    if isinstance(clock, str):
        clock = SystemClock() if clock == "system" else SimulatedClock(start or SystemClock().now())
    origin = _origin(origin, root.name, simulated=clock.kind == "simulated")
    with wrapping_os(root, "making the workspace"):
        return _made(root, origin, clock, admin, head, rules)


def _place(path: str | Path) -> Path:
    """The absolute path of a folder that is empty or not there. Raises ``Invalid`` or ``StoreDown``."""
    root = Path(path).absolute()
    if "\0" in str(root) or not root.name:
        raise Invalid(f"{str(path)!r} is no path of a folder.", next_step="choose another path.")
    with wrapping_os(root, "looking at"):
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise Invalid(f"{root} exists and is not an empty folder.", next_step="choose another path.")
    return root


def _made(root: Path, origin: str, clock: Clock, admin: str, head: str | None, rules: bytes | None) -> Created:
    """Everything in a folder beside ``root``, renamed at the end. Whatever fails, nothing of it is left."""
    building = root.with_name(f".{root.name}.{secrets.token_hex(4)}.init")
    above = [p for p in reversed(building.parents) if not p.exists()]
    undo = ExitStack()
    try:
        for folder in above:  # undone from the deepest up
            undo.callback(_remove_empty, folder)
        undo.callback(shutil.rmtree, building, ignore_errors=True)
        building.mkdir(parents=True, mode=0o700)
        secret = _lay_out(building, origin, head)
        settings = read_settings(building)
        _refuse_known(settings, origin)
        undo.callback(_forget_head, settings.head, origin, existed=settings.head.exists())
        recovery = Ed25519Signer(f"{origin}/recovery", secret)
        stores = stores_of(building, settings, clock, None, create=True)
        undo.callback(_close, stores)
        who = _open_ledger(stores, catalog(), admin, recovery.vkey, rules)
        workspace = Workspace(stores, catalog(), who)
        issued = workspace.access.issue_key(
            principal=who.principal, for_env="production", expires=clock.now() + timedelta(days=365)
        )
        workspace.publish()
        _close(stores)
        if root.exists():
            root.rmdir()
        building.rename(root)
        undo.callback(shutil.rmtree, root, ignore_errors=True)
        sync_folder(root.parent)
        opened = open_workspace(root, clock=clock).acting(who)
    except BaseException:
        undo.close()
        raise
    undo.pop_all()
    return Created(opened, who, issued.result["key"], recovery.secret_key())


def _close(stores: Stores) -> None:
    """Release every handle, so that the folder can be renamed or removed."""
    for store in (stores.entries, stores.head, stores.vault, stores.operational):
        store.close()  # type: ignore[union-attr]


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _forget_head(file: Path, origin: str, *, existed: bool) -> None:
    """Take the head of a workspace that was never made back: its row, or the whole file if that is new."""
    with suppress(AffidavitError, OSError):
        if existed:
            known = SqliteHeadStore(file)
            known.forget(origin)
            known.close()
            return
        for left in file.parent.glob(file.name + "*"):
            left.unlink()
        file.parent.rmdir()


def _refuse_known(settings: Settings, origin: str) -> None:
    if not settings.head.exists():
        return
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
    if not ORIGIN.fullmatch(origin) or len(origin) > 100:
        raise Invalid(
            f"{origin!r} is no log origin.", next_step="use a name such as example.org/risk (a-z, 0-9, . - /)."
        )
    return origin


def _lay_out(root: Path, origin: str, head: str | None) -> bytes:
    """Folders, keys and settings of a new workspace; the seed of the recovery key, which is stored nowhere."""
    for name in ("log.key", "artifact.key", "operational.key", "join.key"):
        create_key(root / "keys" / name)
    for folder in ("log", "objects", "timestamps", "segments", "spool"):
        (root / folder).mkdir()
    text = f'format = {FORMAT}\norigin = "{origin}"\n'
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
