"""Part of decisions: routing to people, their actions, tenants."""

from affidavit.core.area import Part

PART = Part()
