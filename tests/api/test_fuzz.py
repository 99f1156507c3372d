"""Generated requests over the whole document: no server error, no undocumented status."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance


@pytest.mark.slow
def test_generated_requests_meet_no_server_error(served):
    """Whatever fits the document, or nearly, gets an answer that the document names."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.call.app)
    headers = {"Authorization": f"Bearer {served.call.key}"}
    seen = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=4, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def send(case):
            case.call_and_validate(headers=headers, checks=[not_a_server_error, status_code_conformance])

        send()
        seen += 1
    assert seen == sum(len(p) for p in served.call.app.openapi()["paths"].values())

