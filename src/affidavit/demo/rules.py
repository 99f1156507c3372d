"""The rules of the demonstration: the default text with the parameters its management confirmed."""

from __future__ import annotations

from importlib import resources

PARAMETERS = """parameters:
  AI-01.5: {review_within: P2D, emergency_rate: "0.250000"}
  AI-01.1: {heartbeat_within: P8D}
  AI-08.1: {sealed_within: P8D}
  AI-08.2: {verified_every: P30D}
recorder: {explain: adverse}
"""


def text() -> bytes:
    """``rules.yaml`` of the demonstration: few changes a year, so the bound on emergencies is a quarter;
    what is stored is verified every thirty days.
    """
    default = resources.files("affidavit.service").joinpath("rules.yaml").read_text("utf-8")
    if "parameters: {}\n" not in default:
        raise RuntimeError("the default rules have no empty parameters to fill in")
    return default.replace("parameters: {}\n", PARAMETERS).encode()
