"""Part of decisions: decisions run again by the recorded version."""

from affidavit.core.area import Part

PART = Part()
