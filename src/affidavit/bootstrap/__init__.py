"""The one place that names concrete stores: make a workspace, open one, load a model."""

from affidavit.bootstrap.making import Created, init
from affidavit.bootstrap.opening import (
    Settings,
    load_model,
    memory_entries,
    open_for_inspection,
    open_recovered,
    open_workspace,
    read_settings,
)
from affidavit.bootstrap.upkeep import adopt_moved_head, next_log_key, pending_log_key
from affidavit.store.clock import SimulatedClock

__all__ = [
    "Created", "Settings", "SimulatedClock", "adopt_moved_head", "init", "load_model", "memory_entries", "next_log_key",
    "open_for_inspection", "open_recovered", "open_workspace", "pending_log_key", "read_settings",
]  # fmt: skip
