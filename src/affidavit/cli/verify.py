"""``affidavit verify``: packages, logs, proofs and workspaces, offline."""

from __future__ import annotations

