"""The passport that the tests of the recorder work by."""

from __future__ import annotations

from affidavit.streams.passport import Passport, Policy

DEPLOYMENT = "018f2f6e-8c4e-7a55-9d3e-0c1f5a2b3c4d"
ARTIFACT = "sha256:" + "ab" * 32


def passport(tier="limited", routing=None, **policy):
    """What a serving process of employment 3 in production would be told."""
    return Passport(
        "org.example/log",
        "employment",
        "production",
        3,
        DEPLOYMENT,
        ARTIFACT,
        Policy(**policy),
        tier=tier,
        routing=routing,
    )
