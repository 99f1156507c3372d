"""Confinement that the kernel gives a process which asks for it: namespaces, Landlock, seccomp. Linux; elsewhere none.

Each function returns whether it was obtained; none raises. Numbers are those of the kernel's headers: linux/landlock.h,
linux/seccomp.h, linux/capability.h, asm/unistd.h. They are never undone: only a process made to be confined calls them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable
from typing import Any

_NEW_NS, _NEW_IPC, _NEW_USER, _NEW_NET = 0x20000, 0x8000000, 0x10000000, 0x40000000
_DEATH_SIGNAL, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
_MOUNT_SETATTR, _LANDLOCK = 442, 444
_THREAD = 0x10000

_DENIED = {
    "x86_64": (
        0xC000003E, 56,
        (41, 42, 49, 53, 57, 58, 59, 62, 101, 165, 166, 248, 249, 250, 272, 298, 304, 308, 310, 311, 321, 322, 323, 424,
         425, 434, 442, 129, 297, 200, 141, 142, 144, 314, 251, 312, 279, 256, 438, 440, 448),
    ),
    "aarch64": (
        0xC00000B7, 220,
        (198, 203, 200, 199, 221, 129, 117, 40, 39, 217, 218, 219, 97, 241, 265, 268, 270, 271, 280, 281, 282, 424, 425,
         434, 442, 138, 240, 130, 140, 118, 119, 274, 30, 272, 239, 238, 438, 440, 448),
    ),
}  # fmt: skip
"""Audit architecture, number of ``clone``, and what is denied: socket, connect, bind, socketpair, fork, vfork, execve, kill,
ptrace, mount, umount2, add_key, request_key, keyctl, unshare, perf_event_open, open_by_handle_at, setns,
process_vm_readv, process_vm_writev, bpf, execveat, userfaultfd, pidfd_send_signal, io_uring_setup, pidfd_open,
mount_setattr, rt_sigqueueinfo, rt_tgsigqueueinfo, tkill, setpriority, sched_setparam, sched_setscheduler, sched_setattr,
ioprio_set, kcmp, move_pages, migrate_pages, pidfd_getfd, process_madvise, process_mrelease."""
_OF_ITSELF = {"x86_64": (234, (302, 203), 72), "aarch64": (131, (261, 122), 25)}
"""``tgkill``, allowed to the process itself; ``prlimit64`` and ``sched_setaffinity``, of the caller alone (0); ``fcntl``,
but for what makes the kernel signal another process (F_SETOWN, F_SETSIG, F_SETOWN_EX)."""
_SIGNALS = (8, 10, 15)
_CLONE3, _EPERM, _ENOSYS = 435, 1, 38


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def on_linux() -> bool:
    """Whether the rest of this module can do anything."""
    return sys.platform.startswith("linux")


def dies_with_parent() -> bool:
    """Killed when the thread that started it ends."""
    return bool(_libc().prctl(_DEATH_SIGNAL, 9, 0, 0, 0) == 0)


def no_new_privileges() -> bool:
    """Nothing it runs gains privileges; it leaves no readable memory image."""
    libc = _libc()
    return bool(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) and bool(libc.prctl(_DUMPABLE, 0, 0, 0, 0) == 0)


def own_namespaces() -> bool:
    """A user, network, mount and IPC namespace of its own: the network has no interface that is up."""
    return bool(_libc().unshare(_NEW_USER | _NEW_NET | _NEW_NS | _NEW_IPC) == 0)


def read_only_mounts() -> bool:
    """Every mount read-only and without devices and set-user-id; only in a mount namespace of its own."""
    attributes = struct.pack("=4Q", 0x1 | 0x2, 0, 0, 0)
    recursive = 0x8000
    return bool(_libc().syscall(_MOUNT_SETATTR, -100, b"/", recursive, attributes, len(attributes)) == 0)


def no_capabilities() -> bool:
    """No capability left, in whatever user namespace it is."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    return bool(_libc().capset(header, ctypes.create_string_buffer(24)) == 0)


def landlocked(readable: Iterable[str]) -> bool:
    """No file but those under ``readable`` is opened, none is written, made or removed; no TCP, no signal outside.

    Source: Documentation/userspace-api/landlock.rst; rights by the version that the kernel states.
    """
    libc = _libc()
    version = libc.syscall(_LANDLOCK, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    rights = (1 << (13, 14, 15, 15, 16)[min(version, 5) - 1]) - 1
    fields = [rights, *([3] if version >= 4 else []), *([3] if version >= 6 else [])]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.syscall(_LANDLOCK, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        added = [_allow(libc, ruleset, path) for path in readable if os.path.exists(path)]  # noqa: PTH110
        return all(added) and bool(libc.syscall(_LANDLOCK + 2, ruleset, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: Any, ruleset: int, path: str) -> bool:
    read_file, read_folder = 1 << 2, 1 << 3
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = read_file | read_folder if os.path.isdir(path) else read_file  # noqa: PTH112
        beneath = 1
        return bool(libc.syscall(_LANDLOCK + 1, ruleset, beneath, struct.pack("=Qi", rights, handle), 0) == 0)
    finally:
        os.close(handle)


def filtered() -> bool:
    """System calls that open sockets, start processes, signal, bound or look into others fail; threads may start."""
    known = _DENIED.get(platform.machine())
    if known is None:
        return False
    code = _program(*known, _own(*_OF_ITSELF[platform.machine()], os.getpid()))
    program = ctypes.create_string_buffer(code)
    pointer = struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    return bool(_libc().prctl(_SECCOMP, 2, ctypes.create_string_buffer(pointer), 0, 0) == 0)


_Lines = list[tuple[int, int, int, int]]
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NUMBER, _ARCH, _FIRST, _SECOND = 0, 4, 16, 24
"""Where struct seccomp_data holds the call's number, the architecture, the first and the second argument."""


def _own(tgkill: int, of_caller: tuple[int, ...], fcntl: int, pid: int) -> _Lines:
    """Lines that deny calls about another process, by their argument; the number is loaded before and after each."""
    lines: _Lines = []
    for number, allowed in ((tgkill, pid), *((n, 0) for n in of_caller)):
        lines += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _FIRST), (_EQUAL, 1, 0, allowed), (_ANSWER, 0, 0, _FAIL | _EPERM),
                  (_LOAD, 0, 0, _NUMBER)]  # fmt: skip
    last = len(_SIGNALS) - 1
    tests = [(_EQUAL, last - n, n == last, command) for n, command in enumerate(_SIGNALS)]
    body = [(_LOAD, 0, 0, _SECOND), *tests, (_ANSWER, 0, 0, _FAIL | _EPERM), (_LOAD, 0, 0, _NUMBER)]
    return [*lines, (_EQUAL, 0, len(body), fcntl), *body]


def _program(arch: int, clone: int, denied: tuple[int, ...], own: _Lines) -> bytes:
    """Classic BPF over struct seccomp_data."""
    other_abi = 0x40000000
    lines: _Lines = [
        (_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), (_ANSWER, 0, 0, _FAIL | _EPERM),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, other_abi), (_ANSWER, 0, 0, _FAIL | _EPERM),
        (_EQUAL, 0, 1, _CLONE3), (_ANSWER, 0, 0, _FAIL | _ENOSYS),
    ]  # fmt: skip
    for number in denied:
        lines += [(_EQUAL, 0, 1, number), (_ANSWER, 0, 0, _FAIL | _EPERM)]
    lines += [
        *own, (_EQUAL, 0, 3, clone), (_LOAD, 0, 0, _FIRST), (_ANY_BIT, 1, 0, _THREAD), (_ANSWER, 0, 0, _FAIL | _EPERM),
        (_ANSWER, 0, 0, _ALLOW),
    ]  # fmt: skip
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
