"""A confined child process that runs an artifact: fresh interpreter, bounded, without network; no model lives in the caller.

``run`` restores the artifact byte by byte, starts the child, and says what confinement was obtained.
"""

from affidavit.sandbox.running import Limits, Ran, TaskFailed, run

__all__ = ["Limits", "Ran", "TaskFailed", "run"]
