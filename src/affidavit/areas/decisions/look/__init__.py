"""Part of decisions: prove, trace and query sealed decisions."""

from affidavit.core.area import Part

PART = Part()
