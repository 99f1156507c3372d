"""The background of a recorder: brings its streams to the disk and states its counts, one daemon thread a process."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from typing import TYPE_CHECKING

from affidavit.core.errors import AffidavitError
from affidavit.streams.passport import Policy

if TYPE_CHECKING:
    from affidavit.client.recorder import Recorder


class Keeper:
    """Syncs every ``fsync_ms`` (if not 0) and writes a heartbeat every ``heartbeat_s``, until stopped or the recorder is gone.

    A failure is no reason to end: the writer begins a new file, and the next heartbeat states the counts.
    """

    def __init__(self, recorder: Recorder, policy: Policy) -> None:
        self._end = threading.Event()
        self._recorder = weakref.ref(recorder)
        self._sync_s = policy.fsync_ms / 1000 or None
        self._beat_s = float(policy.heartbeat_s)
        self._thread = threading.Thread(target=self._keep, name="affidavit-recorder", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        beat = time.monotonic() + self._beat_s
        while not self._end.wait(self._sync_s or self._beat_s):
            recorder = self._recorder()
            if recorder is None:
                return
            if self._sync_s:
                with contextlib.suppress(AffidavitError):
                    recorder.sync()
            if time.monotonic() >= beat:
                beat += self._beat_s
                with contextlib.suppress(AffidavitError):
                    recorder.heartbeat()
            del recorder

    def stop(self) -> None:
        """End the thread; it holds no lock of the recorder while it waits."""
        self._end.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)
