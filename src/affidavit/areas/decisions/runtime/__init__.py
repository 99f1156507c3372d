"""Part of decisions: counts and inventories of other systems against what was recorded."""

from affidavit.core.area import Part

PART = Part()
