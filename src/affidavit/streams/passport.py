"""What a serving process is told before it serves: which deployment it is, and by which policy it records.

Written by the workspace into its spool (``passports/<model>@<env>.json``), read by the recorder; no fact lives here:
deployment, version and rules are readings of the ledger, copied so that a serving process needs no ledger.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from affidavit.core import canonical, codec
from affidavit.core.errors import Invalid, NotFound, StoreDown
from affidavit.core.fields import Count, Dec6, Digest, Id, Positive, Slug, Token

_EXPLAINER = ("artifact", "background", "explainer", "method", "seed")
_RULES = "correct the section recorder of rules.yaml."
OnFull = Literal["refuse", "count"]
When = Literal["never", "sampled", "always", "adverse"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How a recorder works. ``on_full``: refuse to serve, or serve and count the gap, once disk or spool is full.

    ``spool_bytes`` bounds what one stream may leave unsealed; ``fsync_ms`` is how much a power cut may cost (0: every
    record is on disk when it returns). ``explain`` says which decisions are explained at capture, ``share`` how
    many in a sample. ``heartbeat_s`` is the interval of attestation.
    """

    on_full: OnFull = "refuse"
    spool_bytes: Positive = 1 << 30
    fsync_ms: Count = 1000
    explain: When = "never"
    share: Dec6 = "0.010000"
    heartbeat_s: Positive = 60
    receipts: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a routing rule: a column (``out``, ``confidence``, ``adverse``, ``in.age``), how, with what."""

    column: Token
    how: Literal["below", "at-least", "equals", "is-true"]
    value: Token = "-"


@dataclass(frozen=True, slots=True)
class Routing:
    """Which decisions are held for a person: those that meet any of the conditions; released by holders of ``role``."""

    rule: Id
    role: Token
    conditions: tuple[Condition, ...]
    min_review_ms: Count = 0


@dataclass(frozen=True, slots=True)
class Passport:
    """A deployment as a serving process knows it."""

    origin: Token
    model: Slug
    env: Token
    number: Positive
    deployment: Id
    artifact: Digest
    policy: Policy
    tier: Token = "unknown"
    routing: Routing | None = None
    explainer: Digest | None = None
    thresholds: dict[Token, Dec6] = field(default_factory=dict)

    def configuration(self, **more: Any) -> dict[str, Any]:
        """The configuration a process attests: model, thresholds, routing, explainer, and what it adds (prompt, guard)."""
        base = {"artifact": self.artifact, "deployment": self.deployment, "env": self.env,
                "explainer": self.explainer or "none", "model": f"{self.model}/{self.number}",
                "routing": digest_of(codec.dump_object(self.routing)) if self.routing else "none",
                "thresholds": dict(self.thresholds)}  # fmt: skip
        return base | more


def digest_of(value: Any) -> str:
    """The digest of a canonical value."""
    return "sha256:" + hashlib.sha256(canonical.encode(value)).hexdigest()


def passport_file(spool: Path, model: str, env: str) -> Path:
    """Where the passport of a model in an environment lies."""
    return spool / "passports" / f"{model}@{env}.json"


def read_passport(spool: Path, model: str, env: str) -> Passport:
    """The passport of a deployment. Raises ``NotFound`` if none was issued, ``Invalid`` for a file that is none."""
    file = passport_file(spool, model, env)
    try:
        body = file.read_bytes()
    except OSError:
        raise NotFound(
            f"{file} is not there: no passport of {model}@{env}.",
            next_step=f"`affidavit decisions equip {model} --env {env}` where the workspace is.",
        ) from None
    found: Passport = codec.load_object(Passport, canonical.decode(body), file.name)
    if (found.model, found.env) != (model, env):
        raise Invalid(f"{file} is the passport of {found.model}@{found.env}.", next_step="issue it again.")
    return found


def policy_of(section: Any) -> Policy:
    """The policy that the section ``recorder`` of the rules states; keys left out have their defaults.

    Raises ``Invalid`` naming an unknown key or a value that does not fit.
    """
    if not isinstance(section, Mapping):
        raise Invalid(f"recorder: {section!r} is not a map.", next_step=_RULES)
    known = [f.name for f in fields(Policy)]
    if unknown := sorted(str(k) for k in section if k not in known):
        raise Invalid(f"recorder.{unknown[0]} is unknown.", next_step=f"known keys: {', '.join(known)}.")
    body, share = dict(section), section.get("share")
    if isinstance(share, int | float) and not isinstance(share, bool):
        body["share"] = f"{share:.6f}"
    found: Policy = codec.load_object(Policy, body, "recorder")
    if not 0 <= float(found.share) <= 1:
        raise Invalid(f"recorder.share: {found.share} is not from 0 to 1.", next_step=_RULES)
    return found


def make_passport(model: str, env: str, origin: str, section: Any, ask: Callable[..., Any]) -> Passport:
    """The passport of what serves an environment now, as the answers of ``ask`` (``registry.live`` …) tell it.

    ``section`` is that of the rules on the recorder. Raises ``NotFound`` if nothing serves there, ``Invalid`` for
    rules off form.
    """
    policy, live = policy_of(section), ask("registry.live", model, env)
    if live is None:
        raise NotFound(
            f"no version of {model} serves {env}.",
            next_step=f"promote one: affidavit registry promote {model}/N --to {env}.",
        )
    name = ask("registry.system_of_model", model)
    system = ask("registry.system", name) if name else None
    rule = ask("decisions.routing_in_force", model)
    routing: Routing | None = None
    if rule is not None:
        routing = codec.load_object(Routing, {f.name: rule[f.name] for f in fields(Routing)}, "routing")
    explainer = ask("decisions.explainer_of", model, live["number"])
    return Passport(
        origin, model, env, live["number"], live["id"], live["artifact"], policy,
        tier=system["tier"] if system else "unknown", routing=routing,
        explainer=digest_of({k: explainer[k] for k in _EXPLAINER}) if explainer else None,
    )  # fmt: skip


def write_passport(spool: Path, passport: Passport) -> Path:
    """Put a passport into the spool in one step: a reader finds the old one or the new one, whole. Raises ``StoreDown``."""
    file = passport_file(spool, passport.model, passport.env)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as sink:
            sink.write(canonical.encode(codec.dump_object(passport)))
            sink.flush()
            os.fsync(sink.fileno())
        draft.replace(file)
    except OSError as e:
        draft.unlink(missing_ok=True)
        raise StoreDown(f"{file}: {e.strerror}.", next_step="free space, or check the spool's rights.") from None
    return file
