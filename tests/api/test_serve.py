"""``affidavit serve``: what it refuses, and the real server on the loopback address."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from affidavit.bootstrap import open_workspace
from affidavit.cli import serve
from affidavit.cli.main import main
from affidavit.core.errors import Invalid
from affidavit.ledger.checkpoint import open_checkpoint

CERTIFY = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
           "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--port", "70000"], "port 70000"),
        (["--port", "x"], "invalid int value"),
        (["--publish-every", "5"], "5.0 s between publications"),
        (["--publish-every", "nan"], "nan s between publications"),
        (["--tls-cert", "cert.pem"], "--tls-cert and --tls-key"),
        (["--tls-cert", "none.pem", "--tls-key", "none.pem"], "no file none.pem"),
    ],
)
def test_wrong_options_are_named(make, tmp_path, args, says):
    """Each ends before a socket is opened."""
    make().workspace.close()
    with pytest.raises(Invalid, match=says):
        serve.run("serve", ["--workspace", str(tmp_path / "ws"), *args])


def test_without_the_server_extra_the_next_step_is_to_install_it(monkeypatch, capsys):
    """The core install says what to install; it does not fail with a trace."""
    real = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name == "uvicorn":
            raise ModuleNotFoundError(name="uvicorn")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert main(["serve"]) == 2
    assert 'pip install "affidavit[server]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("example.org", False)],
)  # fmt: skip
def test_which_addresses_are_of_this_machine_alone(host, local):
    """Any other address gets a warning unless there is TLS."""
    assert serve.is_loopback(host) is local


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The server in a process of its own, on a free port: (process, what it announced)."""
    code = "import sys; from affidavit.cli.main import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--workspace", str(folder), "--port", "0", "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    try:
        lines = []
        while not lines or lines[-1].strip() != "}":
            line = process.stdout.readline()  # type: ignore[union-attr]
            assert line, process.communicate()[1]
            lines.append(line)
        yield process, json.loads("".join(lines))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.net
@pytest.mark.enable_socket
def test_the_real_server_serves_publishes_and_stops_cleanly(make, tmp_path):
    """A command over a real socket; no Server header; SIGTERM publishes a last time; the log lines are JSON."""
    made = make()
    made.workspace.close()
    with running(tmp_path / "ws", "--publish-every", "1.0") as (process, said):
        with httpx.Client(base_url=said["url"], headers={"authorization": f"Bearer {made.api_key}"}) as client:
            answer = client.post("/v1/access/register-principal", json={"kind": "person", "name": "Jane Doe"})
            assert answer.status_code == 201
            assert "server" not in answer.headers
            assert client.get("/health", headers={"host": "evil.example"}).status_code == 421
            assert client.put("/v1/objects", content=bytes(3 << 20)).json()["bytes"] == 3 << 20
        with socket.create_connection((httpx.URL(said["url"]).host, httpx.URL(said["url"]).port or 0)) as raw:
            raw.sendall(b"PUT /v1/objects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    rows = [json.loads(line) for line in err.splitlines()]
    assert [r["status"] for r in rows if r.get("event") == "request"][:3] == [201, 421, 201]
    assert "Jane" not in err
    again = open_workspace(tmp_path / "ws")
    note = again.stores.tiles.get("checkpoint")
    assert (
        open_checkpoint(note, again.stores.vkeys, origin=again.stores.origin).checkpoint.size
        == again.stores.entries.size()
    )
    again.close()


@pytest.mark.net
@pytest.mark.enable_socket
def test_the_real_server_speaks_tls_and_warns_without(make, tmp_path):
    """With a certificate there is https and no warning; an open address without one is warned of."""
    make().workspace.close()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run([*CERTIFY, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    with running(tmp_path / "ws", "--tls-cert", str(cert), "--tls-key", str(key)) as (process, said):
        import ssl

        assert said["url"].startswith("https://127.0.0.1:")
        with httpx.Client(base_url=said["url"], verify=ssl.create_default_context(cafile=str(cert))) as client:
            assert client.get("/health").json() == {"status": "ok"}
        process.send_signal(signal.SIGINT)
        assert "warning" not in process.communicate(timeout=30)[1]
    with running(tmp_path / "ws", "--host", "0.0.0.0") as (process, _):
        process.send_signal(signal.SIGINT)
        assert "no loopback address and there is no TLS" in process.communicate(timeout=30)[1]
