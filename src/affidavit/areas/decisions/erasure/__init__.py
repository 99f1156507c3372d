"""Part of decisions: erasure, retention, legal hold, verification of what is stored."""

from affidavit.core.area import Part

PART = Part()
