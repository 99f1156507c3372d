"""``affidavit serve``: the HTTP API on this machine."""

from __future__ import annotations

import contextlib
import importlib
import ipaddress
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from affidavit.bootstrap import open_workspace
from affidavit.cli import show
from affidavit.cli.parsing import Parser, common
from affidavit.core.errors import Invalid
from affidavit.service.workspace import Workspace

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def _parser() -> Parser:
    parser = Parser(
        prog="affidavit serve", parents=[common(acting=False)], description="Serve the HTTP API until interrupted."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument("--publish-every", type=float, default=1.0, metavar="SECONDS", help="at most 1 (default: 1)")
    parser.add_argument(
        "--allowed-host", action="append", default=[], metavar="NAME",
        help="Host header to answer for; repeatable (default on loopback: its names; else any)",
    )  # fmt: skip
    parser.add_argument(
        "--max-upload", type=int, default=5 << 30, metavar="BYTES", help="largest upload (default: 5 GiB)"
    )
    parser.add_argument(
        "--seal-as", metavar="NAME", help="seal the spool meanwhile, as this principal, in a process of its own"
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain, PEM")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key, PEM")
    return parser


def run(_name: str, args: list[str]) -> int:
    """Serve until interrupted; the last entries are published before it ends."""
    given = _parser().parse_args(args)
    _check_tls(given.tls_cert, given.tls_key)
    uvicorn, api, oplog = (_component(n) for n in ("uvicorn", "affidavit.api", "affidavit.api.oplog"))
    loopback = is_loopback(given.host)
    hosts = tuple(given.allowed_host) or ((*LOCAL_NAMES, given.host) if loopback else ())
    options = api.Options(publish_every_s=given.publish_every, object_limit=given.max_upload, hosts=hosts)
    if not loopback and not given.tls_cert:
        print(
            f"warning: {given.host} is no loopback address and there is no TLS: API keys and records travel readable."
            " Use --tls-cert and --tls-key, or a proxy that speaks TLS.",
            file=sys.stderr,
        )
    workspace = open_workspace(given.workspace)
    sealer = _sealer(given.workspace, given.seal_as) if given.seal_as else None
    try:
        listener = _listen(given.host, given.port)
        config = uvicorn.Config(
            api.create_app(workspace, options), log_config=None, access_log=False, server_header=False,
            proxy_headers=False, ssl_certfile=given.tls_cert, ssl_keyfile=given.tls_key,
            timeout_graceful_shutdown=10, ws="none",
        )  # fmt: skip
        oplog.set_up(sys.stderr)
        _announce(workspace, listener, "https" if given.tls_cert else "http", as_json=given.json)
        _serve(uvicorn.Server(config), listener)
    finally:
        workspace.close()
        if sealer is not None:
            sealer.terminate()
            sealer.wait()
    return 0


def _sealer(folder: str, name: str) -> subprocess.Popen[bytes]:
    """The sealer of the workspace's spool: hashing in a thread of this process would hold its answers up."""
    command = [sys.executable, "-m", "affidavit.cli.main", "seal", "--watch", "--workspace", folder, "--as", name]
    return subprocess.Popen(command, stdout=sys.stderr)


def _serve(server: Any, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM. The server hands both on once it has stopped: they end nothing then."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def _component(name: str) -> Any:
    """A module of the server, by name as ``main`` finds commands: the core install has none of them."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        if (e.name or "").startswith("affidavit"):
            raise
        raise Invalid(f"the server needs {e.name}.", next_step='pip install "affidavit[server]"') from None


def _check_tls(cert: str | None, key: str | None) -> None:
    if (cert is None) != (key is None):
        raise Invalid("TLS needs --tls-cert and --tls-key.", next_step="give both, or neither.")
    for path in (cert, key):
        if path is not None and not Path(path).is_file():
            raise Invalid(f"no file {path}.", next_step="give the path of a PEM file.")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise Invalid(f"port {port} is not between 0 and 65535.", next_step="choose another --port.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=512)
    except OSError as e:
        raise Invalid(f"cannot listen on {host} port {port}: {e.strerror or e}.", next_step="choose another.") from None


def _announce(workspace: Workspace, listener: socket.socket, scheme: str, *, as_json: bool) -> None:
    host, port = listener.getsockname()[:2]
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    if as_json:
        show.print_json({"url": url, "origin": workspace.stores.origin, "log_key": workspace.stores.log_signer.vkey})
    else:
        print(f"serving {workspace.stores.origin} at {url} (API: {url}/openapi.json); Ctrl-C ends it")
    sys.stdout.flush()
