"""Every request of every area is the same request through Python, the command line and HTTP."""

from __future__ import annotations

import zlib
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from sampler import Sample, fill

from affidavit.api.derived import offered
from affidavit.api.incoming import request_from_json
from affidavit.api.openapi import document
from affidavit.areas.catalog import catalog
from affidavit.cli import area as cli_area
from affidavit.core.area import Query, Streamed
from affidavit.core.codec import plan
from affidavit.core.errors import Refused
from affidavit.service.workspace import Workspace

KNOWN: Any = SimpleNamespace(catalog=catalog())
REQUESTS = offered(KNOWN)
DOCUMENT = document(KNOWN)
IDS = [f"{a}.{v}" for a, v, _ in REQUESTS]


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every request that reaches the service; none is executed."""
    found: list[Any] = []

    def do(_self: Workspace, request: Any, *_args: Any, **_options: Any) -> Any:
        found.append(request)
        raise Refused("caught", "the test caught it.", next_step="")

    monkeypatch.setattr(Workspace, "do", do)
    monkeypatch.setattr(Workspace, "close", lambda _self: None)
    monkeypatch.setattr("affidavit.service.executor.Executor.authorise", lambda *_: None)
    return found


def through_python(ws: Any, area: str, verb: str, samples: dict[str, Sample]) -> None:
    values = {n: s.python if s.file is None else s.file for n, s in samples.items()}
    with pytest.raises(Refused, match="caught"):
        getattr(getattr(ws, area), verb.replace("-", "_"))(**values)


def through_command_line(area: str, verb: str, cls: type, samples: dict[str, Sample], folder: Path) -> None:
    argv, positional = [verb], []
    for number, field in enumerate(plan(cls).fields):
        if field.name not in samples:
            continue
        texts = samples[field.name].texts
        if samples[field.name].file is not None:
            path = folder / field.name
            path.write_bytes(samples[field.name].file or b"")
            texts = (str(path),)
        if number == 0 and field.required and not field.schema.startswith(("[", "{")):
            positional = list(texts)
        else:
            argv += [f"--{field.name.replace('_', '-')}={t}" for t in texts]
    with pytest.raises(Refused, match="caught"):
        cli_area.run(area, [*argv, *positional])


def json_values(served: Any, samples: dict[str, Sample]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, sample in samples.items():
        values[name] = sample.json
        if sample.file is not None:
            stored = served.call("PUT", "/v1/objects", content=sample.file).json()
            values[name] = stored | {"type": sample.json.type, "kind": sample.json.kind}
    return values


def through_http(served: Any, area: str, verb: str, cls: type, samples: dict[str, Sample]) -> None:
    url = f"/v1/{area}/{verb}"
    assert served.call.post(url, json_values(served, samples)).json().get("code") == "caught"
    if issubclass(cls, Streamed):
        assert served.call.get(url).status_code == 405
    if issubclass(cls, Query):
        pairs = [(n, t) for n, s in samples.items() for t in s.texts]
        assert served.call.get(url, params=pairs).json().get("code") == "caught"


@pytest.mark.parametrize(
    "optional", [pytest.param(True, marks=pytest.mark.slow), False], ids=["all fields", "required fields"]
)
def test_every_request_is_the_same_through_all_three_doors(served, caught, tmp_path, monkeypatch, optional):
    """Whatever an area declares is offered three times with one meaning; a new command is covered by itself."""
    monkeypatch.setattr(cli_area, "open_workspace", lambda *_a, **_o: served.ws)
    for area, verb, cls in REQUESTS:
        for turn in range(2 if optional else 1):
            samples = fill(cls, Random(zlib.crc32(f"{area}.{verb}.{turn}".encode())), optional=optional)
            caught.clear()
            through_python(served.ws, area, verb, samples)
            through_command_line(area, verb, cls, samples, tmp_path)
            through_http(served, area, verb, cls, samples)
            assert len(caught) == (4 if issubclass(cls, Query) else 3)
            assert type(caught[0]) is cls
            assert all(c == caught[0] for c in caught), (area, verb, caught)


@pytest.mark.parametrize(("area", "verb", "cls"), REQUESTS, ids=IDS)
def test_every_request_is_documented(area, verb, cls):
    """OpenAPI names each request, its summary, its fields and which of them are required."""
    path = DOCUMENT["paths"][f"/v1/{area}/{verb}"]
    post = path["post"]
    body = post["requestBody"]["content"]["application/json"]
    assert post["summary"] == cls.summary() != ""
    assert list(body["schema"]["properties"]) == [f.name for f in plan(cls).fields]
    assert body["schema"].get("required", []) == [f.name for f in plan(cls).fields if f.required]
    assert ("get" in path) == issubclass(cls, Query)
    repeated = any(p["name"] == "Idempotency-Key" for p in post.get("parameters", ()))
    assert repeated == (not issubclass(cls, (Query, Streamed)))  # a look is asked again, not repeated


@pytest.mark.parametrize(("area", "verb", "cls"), REQUESTS, ids=IDS)
def test_the_example_of_each_request_is_taken(area, verb, cls):
    """The example in OpenAPI is a request that the codec reads."""
    body = DOCUMENT["paths"][f"/v1/{area}/{verb}"]["post"]["requestBody"]["content"]["application/json"]
    assert type(request_from_json(cls, body["example"])) is cls


def test_no_internal_request_is_offered(served):
    """What a measure records is reached through the measure alone."""
    known = catalog()
    hidden = [f"/v1/{a}/{v}" for a in known.areas for v, c in known.requests(a).items() if c.internal]
    assert hidden
    assert all(served.call.post(path, {}).status_code == 404 for path in hidden)
