"""Affidavit governs AI systems and produces their audit evidence as a by-product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affidavit.bootstrap import init, load_model, open_workspace

__version__ = "0.1.0"
__all__ = ["__version__", "init", "load_model", "open_workspace"]


def __getattr__(name: str) -> Any:
    """The public functions, imported when first used: ``import affidavit`` itself loads nothing."""
    if name in ("recorder", "recorded"):
        from importlib import import_module

        return getattr(import_module("affidavit.client"), name)
    if name in ("init", "load_model", "open_workspace"):
        from affidavit import bootstrap

        return getattr(bootstrap, name)
    raise AttributeError(name)
