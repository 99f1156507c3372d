"""The HTTP door: the derived routes of every area, uploads, the published log, assessments."""

from affidavit.api.app import Options, create_app

__all__ = ["Options", "create_app"]
