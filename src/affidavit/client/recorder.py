"""The recorder: one line in a serving process that makes each decision provable.

``record`` writes to this process's own write-ahead file and returns; sealing is another process's work. Many processes
and threads record at once; the child of a fork opens streams of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from affidavit.client import columns
from affidavit.client.decisions import DecisionWriter
from affidavit.client.encoding import Encoder
from affidavit.client.keeping import Keeper
from affidavit.client.late import LateStreams, digest_bytes, encoded
from affidavit.client.returned import Recorded, given_id, moment_ms
from affidavit.core import canonical
from affidavit.core.errors import AffidavitError, Invalid, StoreDown
from affidavit.streams import kinds
from affidavit.streams.ids import id_bytes, id_text
from affidavit.streams.passport import Passport, digest_of
from affidavit.streams.receipts import ReceiptKey
from affidavit.streams.routing import meets
from affidavit.streams.schema import Column, Schema
from affidavit.streams.writer import StreamWriter, Unwritten, Why, now_ms

Explainer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_NO_ID = bytes(16)


class Recorder:
    """Records the decisions of one deployment. Use it as a context manager, or call ``close``.

    ``schema`` gives the types of inputs by name, ``output`` the type of the output, or of each by name; what is not
    given is taken from the first record. ``explainer(inputs)`` gives columns of ``explanations``; ``attest`` adds to
    the configuration the process states (prompt, guard); ``clock`` gives milliseconds since 1970 (simulations).

    Raises ``Invalid`` for a high-tier system whose policy explains and that has no explainer, ``StoreDown`` if the spool
    cannot be written.
    """

    def __init__(
        self, passport: Passport, spool: str | Path, *, schema: Mapping[str, Any] | None = None, output: Any = None,
        explainer: Explainer | None = None, attest: Mapping[str, Any] | None = None, receipts: bool | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:  # fmt: skip
        self.passport, self.spool, self.policy = passport, Path(spool), passport.policy
        if explainer is None and passport.tier == "high" and self.policy.explain != "never":
            raise Invalid(f"{passport.model} is of a high-tier system and its decisions are explained; no explainer is given.",
                          next_step="give recorder(…, explainer=f), or set recorder.explain: never in the rules.")  # fmt: skip
        self._explainer, self.now_ms = explainer, clock
        self._share = int(float(self.policy.share) * 2**64)
        self.attested = passport.configuration(**(attest or {}))
        configuration = digest_of(self.attested)
        self._constants = id_bytes(passport.deployment), digest_bytes(passport.artifact), digest_bytes(configuration)
        self._opening = {
            "deployment": passport.deployment, "model": passport.model, "number": passport.number, "env": passport.env,
            "artifact": passport.artifact, "configuration": configuration,
        }  # fmt: skip
        self._receipts = self.policy.receipts if receipts is None else receipts
        self._plain = passport.routing is None and explainer is None and not self._receipts
        self._inputs = columns.stated(schema, columns.input_name) if schema is not None else None
        self._outputs: tuple[Column, ...] | None = None
        self._scalar = True
        if output is not None:
            self._scalar = not isinstance(output, Mapping)
            self._outputs = columns.stated({"out": output} if self._scalar else output, columns.output_name)
        self._closed = self._child = False
        self._start()
        _LIVE[id(self)] = weakref.ref(self)
        atexit.register(_close_at_exit, weakref.ref(self))
        if self._inputs is not None and self._outputs is not None:
            self._open(self._inputs, self._outputs, scalar=self._scalar)
        self._begin()

    # ------------------------------------------------------------ of a process

    def _start(self) -> None:
        """What belongs to one process alone; the child of a fork begins anew."""
        self._lock = threading.RLock()
        self._writer: DecisionWriter | None = None
        self._key: ReceiptKey | None = None
        self._early: list[tuple[int, Why, int]] = []
        self.late = LateStreams(self._late_writer)
        self._keeper: Keeper | None = None

    def _begin(self) -> None:
        """Start the background of this process and state what it runs; a full disk shows again at the first record."""
        self._keeper = Keeper(self, self.policy)
        if self._child and (pools := sys.modules.get("multiprocessing.util")) is not None:
            # Processes of multiprocessing end without atexit, and forget what was to be done when they began.
            pools.Finalize(None, _close_at_exit, args=(weakref.ref(self),), exitpriority=100)
        with contextlib.suppress(StoreDown):
            self.heartbeat()

    def _forked(self) -> None:
        self._child = True
        self._start()

    def _late_writer(self, schema: Schema) -> StreamWriter:
        given: dict[str, Any] = {"attested": self.attested, "clock": self.now_ms, **self._opening}
        return StreamWriter(self.spool, schema, self.passport.origin, policy=self.policy, **given)

    def _open(self, inputs: tuple[Column, ...], outputs: tuple[Column, ...], *, scalar: bool) -> DecisionWriter:
        """The writer of this process's decisions. Raises ``StoreDown``."""
        with self._lock:
            if self._closed:
                raise Invalid("the recorder is closed.", next_step="open a new one.")
            if self._writer is None:
                encoder = Encoder(kinds.decisions(inputs, outputs), self._constants, scalar=scalar)
                key = ReceiptKey() if self._receipts else None
                given = self._opening | ({"key": key.public} if key else {})
                writer = DecisionWriter(self.spool, encoder, self.passport.origin, policy=self.policy, clock=self.now_ms,
                                        attested=self.attested, **given)  # fmt: skip
                for gap in self._early:
                    writer.miss(*gap)
                self._inputs, self._outputs, self._scalar, self._key, self._early = inputs, outputs, scalar, key, []
                self._writer = writer
                if self._keeper is None:
                    self._begin()
            return self._writer

    def _first(self, inputs: Any, output: Any) -> DecisionWriter:
        """Open the stream with the columns of a first record, if they are not known."""
        if self._inputs is None and not (isinstance(inputs, Mapping) and inputs):
            raise Invalid(f"the inputs {str(inputs)[:40]!r} name nothing.", next_step="give a dict of inputs by name.")
        scalar = not isinstance(output, Mapping)
        shape = self.shape(
            lambda: columns.inferred(inputs, columns.input_name),
            lambda: columns.inferred({"out": output} if scalar else output, columns.output_name), scalar=scalar,
        )  # fmt: skip
        Encoder(kinds.decisions(*shape[:2]), self._constants, scalar=shape[2]).read(inputs, output)
        return self.opened(shape)

    def shape(self, inputs: Callable[[], tuple[Column, ...]], outputs: Callable[[], tuple[Column, ...]], *,
              scalar: bool) -> tuple[tuple[Column, ...], tuple[Column, ...], bool]:  # fmt: skip
        """Columns of inputs and outputs, and whether there is one output: what is known, or else what is given."""
        known = self._outputs
        return (
            self._inputs or inputs(),
            outputs() if known is None else known,
            scalar if known is None else self._scalar,
        )

    def opened(self, shape: tuple[tuple[Column, ...], tuple[Column, ...], bool]) -> DecisionWriter:
        """The stream of decisions of this process, opened with the columns of ``shape`` if it is not yet."""
        inputs, outputs, scalar = shape
        return self._writer or self._open(inputs, outputs, scalar=scalar)

    @property
    def writer(self) -> DecisionWriter | None:
        """The stream of decisions of this process, None before the first."""
        return self._writer

    # ------------------------------------------------------------ recording

    def record(
        self, inputs: Mapping[str, Any], output: Any, *, caller: str | None = None, subject: str | None = None,
        groups: Mapping[str, str | None] | None = None, sources: Sequence[Any] | None = None, confidence: float | None = None,
        adverse: bool | None = None, guard: str | None = None, tenant: str | None = None, at: datetime | int | None = None,
        id: str | bytes | None = None,  # noqa: A002 - the name of the column
    ) -> Recorded:  # fmt: skip
        """Record a decision; once this returns it outlives the process.

        ``inputs`` by name; ``output`` a value, or values by name of which ``out`` is the main one. ``subject`` is a
        pseudonym. ``groups`` are protected attributes: they go to a stream of their own. ``sources`` are windows of raw
        readings. ``at`` is a time with its zone or milliseconds since 1970, by default now. ``id`` is a UUIDv7 that the
        caller minted.

        Raises ``Invalid`` naming the column and value, and nothing is written; ``StoreDown`` when disk or spool is full
        and the policy refuses (with ``count`` the request counts as missed and is returned with ``seq`` None).
        """
        try:
            writer = self._writer or self._first(inputs, output)
            encoder = writer.encoder
            fixed, texts, nulls = encoder.read(inputs, output)
            if subject is tenant is guard is sources is None:
                after = None
            else:
                after = subject, tenant, guard, None if sources is None else canonical.encode(list(sources)).decode()
            tail = encoder.texts(texts, caller, after)
            middle = encoder.plain if confidence is None and adverse is None else encoder.middle(confidence, adverse)
            moment = at if at is None else moment_ms(at)
            given = None if id is None else given_id(id)
            row = None if groups is None else self._grouped(groups)
            seq, body, frame = writer.put(fixed, nulls, tail, middle, moment, given)
        except Unwritten as e:
            if self.policy.on_full == "refuse":
                raise
            self.count_missed(1, e.why)
            return Recorded(_NO_ID, None, self._held(inputs, output, confidence, adverse))
        if self._plain and row is None:
            return Recorded(body, seq, False)
        if row is not None:
            self._group(row, body)
        if self.explains and self.chooses(body, adverse=adverse):
            self.explain(inputs, body)
        signed = None if self._key is None else (self._key, writer.stream, frame)
        return Recorded(body, seq, self._held(inputs, output, confidence, adverse), signed)

    def record_batch(
        self, table: Any, *, output_columns: str | Sequence[str] | Mapping[str, str] = "out", **given: Any
    ) -> Any:
        """Record every row of a ``pyarrow.Table``; their ids, a ``pyarrow`` array of 16 bytes each, null where not recorded.

        Columns that are not named are inputs. ``output_columns``: the column of the output, or several, or the column of
        each output by name. ``ids`` and ``at`` name columns; ``groups`` a list of columns that go to
        the stream of protected attributes; ``fields`` maps a column of the decision (``subject``, ``confidence``,
        ``adverse``, ``caller``, ``tenant``, ``guard``, ``sources``) to one of the table; ``caller`` and ``tenant`` may be
        given for all rows. Raises as ``record``, before anything is written, except ``StoreDown`` between batches.
        """
        from affidavit.client.batch import record_batch

        return record_batch(self, table, output_columns, **given)

    def _grouped(self, groups: Mapping[str, str | None]) -> tuple[Schema, dict[str, Any]]:
        """The row of protected attributes without its decision. Raises ``Invalid``."""
        schema, values = kinds.groups_waiting(groups), {f"g.{n}": v for n, v in groups.items()}
        encoded(schema, values)
        return schema, values

    def _group(self, row: tuple[Schema, dict[str, Any]], body: bytes) -> None:
        schema, values = row
        self.beside("groups", body, lambda: self.late.append_as(schema, {**values, "decision": body}))

    def _held(self, inputs: Any, output: Any, confidence: Any, adverse: Any) -> bool:
        routing = self.passport.routing
        if routing is None:
            return False
        values = {columns.input_name(k): v for k, v in inputs.items()} | {"confidence": confidence, "adverse": adverse}
        named = output if isinstance(output, Mapping) else {"out": output}
        return meets(routing, values | {columns.output_name(k): v for k, v in named.items()})

    def beside(self, kind: str, body: bytes, write: Callable[[], object], count: int = 1) -> None:
        """Write what belongs to a decision that is recorded already; where it cannot be, the policy says what follows."""
        try:
            write()
        except Unwritten as e:
            if self.policy.on_full == "refuse":
                raise Unwritten(e.why, f"decision {id_text(body)} is recorded, its {kind} are not: {e.problem}",
                                "do not serve it; free space, or seal the spool.") from None  # fmt: skip
            self.late.miss(kind, self.now_ms(), e.why, count)

    def count_missed(self, count: int, why: Why) -> None:
        """Count requests that are served and not recorded, and why."""
        with self._lock:
            if self._writer is not None:
                self._writer.miss(self.now_ms(), why, count)
            elif self._early and self._early[-1][1] == why:
                at_ms, _, before = self._early[-1]
                self._early[-1] = (at_ms, why, before + count)
            else:
                self._early.append((self.now_ms(), why, count))

    @property
    def missed(self) -> int:
        """Requests of this process that were served and not recorded."""
        return (self._writer.missed if self._writer else 0) + sum(n for _, _, n in self._early)

    # ------------------------------------------------------------ late facts

    @property
    def explains(self) -> bool:
        """Whether decisions may be explained at capture."""
        return self._explainer is not None

    def chooses(self, body: bytes, *, adverse: bool | None) -> bool:
        """Whether the policy has a decision explained at capture; a sample is chosen by a hash of the id."""
        if adverse and (self.passport.tier == "high" or self.policy.explain == "adverse"):
            return True
        if self.policy.explain == "sampled":
            return int.from_bytes(hashlib.sha256(b"explain\0" + body).digest()[:8], "big") < self._share
        return self.policy.explain == "always"

    def explain(self, inputs: Mapping[str, Any], body: bytes) -> None:
        """Have the explainer attribute a recorded decision and write what it says. Raises what the explainer raises."""
        if self._explainer is not None:
            found = self._explainer(inputs)
            self.beside("explanations", body, lambda: self.explanation(body, **found))

    def explanation(self, decision: str | bytes, **values: Any) -> None:
        """Record the attributions of a decision: columns of ``streams.kinds.EXPLANATIONS``."""
        self._append("explanations", {"version": self._constants[1], **values, "decision": decision})

    def outcome(self, decision: str | bytes, value: float | None = None, label: str | None = None,
                observed_at: datetime | int | None = None, source: str | None = None) -> None:  # fmt: skip
        """Record what turned out: a number or a label, when it was observed, who says so."""
        self._append(
            "outcomes",
            {"decision": decision, "value": value, "label": label, "observed_at": observed_at, "source": source},
        )

    def action(self, decision: str | bytes, action: str, **values: Any) -> str:
        """Record what a person did about a decision (``held``, ``released``, ``overridden`` …); the action's id.

        ``values`` are further columns of ``streams.kinds.ACTIONS``.
        """
        from affidavit.streams.ids import Minter

        body = Minter().mint(self.now_ms(), os.urandom(8))
        self._append("actions", {**values, "id": body, "decision": decision, "action": action})
        return id_text(body)

    def heartbeat(self) -> None:
        """State what this process runs and its own counts; gaps are stated with it. Raises ``StoreDown``."""
        writer = self._writer
        if writer is not None:
            with contextlib.suppress(StoreDown):
                writer.state_gaps()
        seq, missed = writer.seq if writer else 0, self.missed
        self._append("heartbeats", {
            "stream": writer and writer.stream, "deployment": self._constants[0], "version": self._constants[1],
            "configuration": self._constants[2], "served": seq + missed, "recorded": seq, "missed": missed,
        })  # fmt: skip

    def _append(self, kind: str, values: dict[str, Any]) -> None:
        if self._closed:
            raise Invalid("the recorder is closed.", next_step="open a new one.")
        if self._keeper is None:
            with self._lock:
                if self._keeper is None and kind != "heartbeats":
                    self._begin()
        self.late.append(kind, {"at": self.now_ms(), **values})

    # ------------------------------------------------------------ keeping and ending

    def writers(self) -> list[StreamWriter]:
        """Every open stream of this process."""
        return [*([self._writer] if self._writer else []), *self.late.writers.values()]

    def sync(self) -> None:
        """Bring everything recorded so far to the disk. Raises ``StoreDown``."""
        for writer in self.writers():
            writer.sync()

    def close(self) -> None:
        """End the streams in order. Idempotent. Raises ``StoreDown`` if the end, or what was missed, cannot be written."""
        with self._lock:
            if self._closed:
                return
            problems: list[AffidavitError] = []
            if self._keeper is not None:
                self._keeper.stop()
                try:
                    self.heartbeat()
                except StoreDown as e:
                    problems.append(e)
            self._closed = True
            for writer in self.writers():
                try:
                    writer.close()
                except StoreDown as e:
                    problems.append(e)
            _LIVE.pop(id(self), None)
        if self._early or problems:
            first = problems[0].problem if problems else "no stream could be opened."
            raise StoreDown(f"{self.missed} requests were missed and the end of the streams is not written: {first}",
                            next_step="keep the process's log: the audit will find the stream lost.")  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_LIVE: dict[int, weakref.ref[Recorder]] = {}


def _in_child() -> None:
    for found in list(_LIVE.values()):
        if (recorder := found()) is not None:
            recorder._forked()  # noqa: SLF001


os.register_at_fork(after_in_child=_in_child)


def _close_at_exit(found: weakref.ref[Recorder]) -> None:
    if (recorder := found()) is not None:
        recorder.close()
