"""Generated requests over the whole document: no server error, no undocumented status."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

ROLES = ("engineer", "approver", "oncall", "auditor", "admin")


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda m: m.value)
def test_generated_requests_meet_no_server_error(served, mode):
    """Whatever fits the document, and whatever does not, gets an answer that the document names."""
    principal, call = served.person("Everybody", ROLES[0])
    for role in ROLES[1:]:
        grant = served.ws.access.request_grant(principal=principal, role=role, in_env="*", reason="r", by="Everybody")
        served.ws.access.approve_grant(grant.facts[0].grant)
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.call.app)
    headers = {"Authorization": f"Bearer {call.key}"}
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=3, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case):
            tried.add((case.operation.path, case.operation.method))
            case.call_and_validate(headers=headers, checks=[not_a_server_error, status_code_conformance])

        try:
            send()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "an operation without input cannot be given wrong input"
    paths = served.call.app.openapi()["paths"]
    everything = {(p, m) for p, methods in paths.items() for m in methods} - {("/openapi.json", "get")}
    takes_input = {(p, m) for p, m in everything if {"parameters", "requestBody"} & set(paths[p][m])}
    assert (
        everything
        >= tried
        >= (everything if mode is GenerationMode.POSITIVE else takes_input - {("/v1/objects", "put")})
    )
