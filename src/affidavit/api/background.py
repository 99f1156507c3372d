"""The publisher thread: publishes what was accepted, settles counters, retries failed reactions."""

from __future__ import annotations

import logging
import threading
import time

from affidavit.api import oplog
from affidavit.core.errors import AffidavitError
from affidavit.service.workspace import Workspace

SLOWEST_S = 10.0


class Publisher:
    """Publishes every ``every_s`` seconds until stopped, and once more then.

    A failure is logged and the thread goes on, waiting twice as long each time (at most 10 s).
    """

    def __init__(self, workspace: Workspace, every_s: float, retry_every_s: float) -> None:
        self._workspace = workspace
        self._every_s, self._retry_every_s = every_s, retry_every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="affidavit-publisher", daemon=True)
        self._retry_at = time.monotonic()
        self.failures = 0

    def start(self) -> None:
        """Begin publishing."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, then publish a last time."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.step()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(min(self._every_s * 2 ** min(self.failures, 10), max(SLOWEST_S, self._every_s))):
            self.step()

    def step(self) -> bool:
        """One round; False if something failed."""
        try:
            if time.monotonic() >= self._retry_at:
                self._retry_at = time.monotonic() + self._retry_every_s
                self._workspace.executor.reactions.retry()
            self._workspace.publish()
        except Exception as e:  # noqa: BLE001 - the publisher outlives whatever a store does
            self.failures += 1
            known = e if isinstance(e, AffidavitError) else None
            rest = oplog.problem_fields(known) or oplog.failure(e)
            oplog.note(logging.ERROR, "publish failed", failures=self.failures, **rest)
            return False
        if self.failures:
            oplog.note(logging.INFO, "publishing again", failures=self.failures)
        self.failures = 0
        return True
