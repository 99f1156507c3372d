"""The streams the service itself writes: reads, actions, outcomes, explanations. One writer a kind and process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from affidavit.service.stores import Stores
from affidavit.streams.kinds import FIXED
from affidavit.streams.passport import Policy
from affidavit.streams.rows import Value
from affidavit.streams.writer import StreamWriter

POLICY = Policy(on_full="refuse", fsync_ms=0)
"""A person's access or action is on the disk before it is answered."""


class OwnStreams:
    """Opened when first written to; a child of a fork opens its own."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._writers: dict[str, StreamWriter] = {}
        self._lock = threading.Lock()

    def append(self, kind: str, values: Sequence[Value]) -> int:
        """Write a row durably; its number in the stream."""
        with self._lock:
            writer = self._writers.get(kind)
            if writer is None or not writer.owned:
                writer = StreamWriter(
                    self._stores.spool, FIXED[kind], self._stores.origin, policy=POLICY, clock=self._now_ms
                )
                self._writers[kind] = writer
        return writer.append(values)

    def _now_ms(self) -> int:
        return int(self._stores.clock.now().timestamp() * 1000)

    def close(self) -> None:
        """End every stream in order, so that the next seal takes the whole of it."""
        with self._lock:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()
