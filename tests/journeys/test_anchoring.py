"""Timestamps from a real RFC 3161 authority on the loopback address: kept, verified, and never in the way."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from affidavit.bootstrap import open_workspace
from affidavit.core.errors import Invalid, StoreDown
from affidavit.ledger.checkpoint import open_checkpoint
from affidavit.ledger.timestamps import verify_timestamp
from affidavit.store.tsa import pem_roots

CONFIG = """
[tsa]
default_tsa = a
[a]
dir = .
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
"""
EXTENSIONS = "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n"


def openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority with a root of its own, made by OpenSSL."""
    folder = tmp_path_factory.mktemp("tsa")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(
        folder, "req", "-x509", *new, "-keyout", "root.key", "-out", "root.pem", "-days", "3650", "-subj", "/CN=Root"
    )
    openssl(folder, "req", *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=TSA")
    (folder / "ext").write_text(EXTENSIONS)
    openssl(folder, "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-out", "tsa.pem",
            "-days", "3650", "-extfile", "ext")  # fmt: skip
    (folder / "tsa.cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    return folder


@pytest.fixture
def server(authority):
    """The authority behind HTTP on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (authority / "q.tsq").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            openssl(authority, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq", "-out", "r.tsr")
            body = (authority / "r.tsr").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def configure(root: Path, url: str, roots: Path) -> None:
    with (root / "affidavit.toml").open("a") as file:
        file.write(f'\n[timestamps]\nurl = "{url}"\nroots = "{roots}"\n')


@pytest.mark.net
@pytest.mark.enable_socket
def test_every_published_checkpoint_is_stamped(make, clock, tmp_path, authority, server):
    """The kept answer verifies against the pinned root and covers the checkpoint of its size."""
    made = make()
    made.workspace.close()
    configure(tmp_path / "ws", server, authority / "root.pem")
    ws = open_workspace(tmp_path / "ws", clock=clock)
    ws.access.register_principal("service", "stamped", by=made.admin)
    published = ws.publish()
    note = open_checkpoint(published.checkpoint, ws.stores.vkeys, origin=ws.stores.origin).note
    answer = (tmp_path / "ws" / "timestamps" / f"{published.size}.tsr").read_bytes()
    stamp = verify_timestamp(note.body, answer, pem_roots(authority / "root.pem"))
    assert "TSA" in stamp.tsa


@pytest.mark.net
@pytest.mark.enable_socket
def test_an_authority_that_is_down_stops_nothing(make, clock, tmp_path, authority):
    """The checkpoint stands, unanchored, and the gap is known."""
    made = make()
    made.workspace.close()
    configure(tmp_path / "ws", "http://127.0.0.1:9/", authority / "root.pem")
    ws = open_workspace(tmp_path / "ws", clock=clock)
    ws.access.register_principal("service", "unstamped", by=made.admin)
    assert ws.publish().grew == 1
    assert "does not answer" in ws.stores.timestamp.missed


@pytest.mark.net
@pytest.mark.enable_socket
def test_waiting_for_an_anchor_is_not_answered_without_one(make, clock, tmp_path, authority, server):
    """``wait='anchored'`` needs an authority that answers: refused before without one, an error after if it is silent."""
    made = make()
    given = {"kind": "service", "by": made.admin, "wait": "anchored"}
    size = made.workspace.stores.entries.size()
    with pytest.raises(Invalid, match="no timestamp authority"):
        made.workspace.access.register_principal(name="never recorded", **given)
    assert made.workspace.stores.entries.size() == size
    made.workspace.close()
    configure(tmp_path / "ws", server, authority / "root.pem")
    ws = open_workspace(tmp_path / "ws", clock=clock)
    done = ws.access.register_principal(name="stamped", **given)
    assert (tmp_path / "ws" / "timestamps" / f"{done.size}.tsr").is_file()
    ws.close()
    text = (tmp_path / "ws" / "affidavit.toml").read_text()
    (tmp_path / "ws" / "affidavit.toml").write_text(text.replace(server, "http://127.0.0.1:9/"))
    ws = open_workspace(tmp_path / "ws", clock=clock)
    with pytest.raises(StoreDown, match="not anchored"):
        ws.access.register_principal(name="silent", **given)
