"""Part of decisions: attributions, their fidelity, letters to the person."""

from affidavit.core.area import Part

PART = Part()
