"""Hostile tasks for a confined child: what they attempt and whether it was refused is their answer."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import time


def _attempt(act):
    try:
        return f"done: {act()}"
    except BaseException as e:
        return f"refused: {type(e).__name__}"


def _raw(name, *args):
    """A call of the C library, past every hook of Python."""
    libc = ctypes.CDLL(None, use_errno=True)

    def act():
        answer = getattr(libc, name)(*args)
        if answer < 0:
            raise OSError(ctypes.get_errno())
        if name == "fork" and answer == 0:
            os._exit(0)
        return answer

    return act


def _connect(port):
    """To a port where nobody listens: a refusal by the peer's side (111) is a network that was reached."""

    def act():
        libc = ctypes.CDLL(None, use_errno=True)
        handle = libc.socket(2, 1, 0)
        address = struct.pack("=H", 2) + struct.pack(">H", port) + bytes((127, 0, 0, 1)) + bytes(8)
        if (handle < 0 or libc.connect(handle, address, 16) < 0) and ctypes.get_errno() != 111:
            raise OSError(ctypes.get_errno())
        return handle

    return act


def _exec():
    """Of a file that is not there, so that a child which may do it lives to tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.execv(b"/nonexistent", (ctypes.c_char_p * 2)(b"x", None))
    if ctypes.get_errno() != 2:
        raise OSError(ctypes.get_errno())


def attempts(payload):
    """Everything a model must not do, by Python and by the C library."""
    outside, inside, secret = payload["outside"], "made-here", payload["secret"]
    return {
        "python": {
            "socket": _attempt(lambda: socket.socket()),
            "name": _attempt(lambda: socket.getaddrinfo("localhost", 80)),
            "process": _attempt(lambda: subprocess.run(["true"], check=False)),
            "fork": _attempt(os.fork),
            "exec": _attempt(lambda: os.execv("/bin/true", ["true"])),
            "write": _attempt(lambda: open(outside, "w")),
            "write-inside": _attempt(lambda: open(inside, "w")),
            "remove": _attempt(lambda: os.remove(secret)),
        },
        "raw": {
            "connect": _attempt(_connect(payload["port"])),
            "fork": _attempt(_raw("fork")),
            "exec": _attempt(_exec),
            "kill": _attempt(_raw("kill", os.getppid(), 0)),
            "thread-signal": _attempt(_raw("tgkill", os.getppid(), os.getppid(), 0)),
            "queued-signal": _attempt(_raw("sigqueue", os.getppid(), 0, None)),
            "signal-by-pipe": _attempt(_raw("fcntl", 0, 8, os.getppid())),
            "caller-limits": _attempt(_raw("prlimit", os.getppid(), 7, None, ctypes.create_string_buffer(16))),
            "write": _attempt(_raw("open", outside.encode(), os.O_CREAT | os.O_WRONLY, 0o600)),
            "read": _attempt(_raw("open", secret.encode(), os.O_RDONLY)),
        },
        "environment": dict(os.environ),
        "files": [n for n in range(3, 256) if _attempt(lambda n=n: os.fstat(n)).startswith("done")],
        "folder": os.getcwd(),
    }


def _flood(handle):
    block = b"\xff" * (1 << 20)
    for _ in range(4096):
        with contextlib.suppress(OSError):
            os.write(handle, block)


def _hog():
    return len(bytearray(1 << 40))


def _deep():
    body = b"[" * 200_000
    for n in range(3, 16):
        with contextlib.suppress(OSError):
            os.write(n, struct.pack(">Q", len(body) + 4) + struct.pack(">I", len(body)) + body)
    time.sleep(30)


HOSTILE = {
    "sleeps": lambda: time.sleep(60),
    "spins": lambda: [None for _ in iter(int, 1)],
    "hogs": _hog,
    "floods-errors": lambda: _flood(2),
    "floods-answers": lambda: [_flood(n) for n in range(3, 16)],
    "answers-nonsense": _deep,
    "dies": lambda: ctypes.string_at(0),
    "leaves": lambda: os._exit(0),
    "prints": lambda: print("x" * 10_000, flush=True),
}


def perform(request, folder):
    """Stands for ``tasks.perform``."""
    payload = request["payload"]
    if payload["what"] == "attempts":
        return attempts(payload)
    if payload["what"] == "big":
        return "x" * payload["size"]
    HOSTILE[payload["what"]]()
    return "survived"
