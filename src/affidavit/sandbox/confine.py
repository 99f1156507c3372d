"""What the child does to itself before it looks at a model: bounds, namespaces, filters, an audit hook. Run once.

``confined`` answers with tokens of what was obtained, and with nothing that was not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from affidavit.sandbox import kernel

ENVIRONMENT = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""All that a child's environment holds: text as UTF-8, one thread for each library."""
_WINDOWS_NEEDS = ("SYSTEMROOT",)
_LIBRARIES = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime", "/dev/null", "/dev/urandom",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/self/maps", "/proc/self/status", "/proc/self/cgroup",
    "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/fs/cgroup", "/opt/homebrew", "/System",
)  # fmt: skip
_REFUSED = frozenset((
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile",
    "os.startfile/2", "pty.spawn", "os.kill", "os.killpg", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link",
    "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr", "pickle.find_class",
))  # fmt: skip
"""Audit events that are refused: processes, changes of files, classes named by a pickle."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def environment() -> dict[str, str]:
    """The environment to start a child with."""
    return ENVIRONMENT | {k: os.environ[k] for k in _WINDOWS_NEEDS if k in os.environ}


def confined(folder: str, limits: Mapping[str, int]) -> tuple[str, ...]:
    """Confine this process to reading ``folder`` and its libraries; what was obtained, in order.

    Tokens: ``own-session``, ``empty-env``, ``rlimits``, ``no-new-privs``, ``no-capabilities``, and for network,
    files and processes who enforces it: ``no-network:netns``, ``:seccomp``, ``:audit-hook``, ``read-only:mount``,
    ``:landlock``, ``:audit-hook``, ``files:landlock``, ``no-processes:seccomp``, ``:rlimit``, ``:audit-hook``.
    """
    return tuple(_steps(folder, limits))


def _steps(folder: str, limits: Mapping[str, int]) -> Iterator[str]:
    if set(os.environ) <= set(environment()):
        yield "empty-env"
    if hasattr(os, "getsid") and os.getsid(0) == os.getpid():
        yield "own-session"
    yield from _bounded(limits)
    if kernel.on_linux():
        yield from _by_kernel(folder)
    sys.addaudithook(_hook)
    yield from ("no-network:audit-hook", "read-only:audit-hook", "no-processes:audit-hook")


def _by_kernel(folder: str) -> Iterator[str]:
    if _obtained(kernel.dies_with_parent):
        yield "dies-with-caller"
    if _obtained(kernel.own_namespaces):
        yield "no-network:netns"
        if _obtained(kernel.read_only_mounts):
            yield "read-only:mount"
    if _obtained(kernel.no_capabilities):
        yield "no-capabilities"
    if not _obtained(kernel.no_new_privileges):
        return  # Landlock and seccomp ask for it first
    yield "no-new-privs"
    if _obtained(lambda: kernel.landlocked(_readable(folder))):
        yield from ("read-only:landlock", "files:landlock")
    if _obtained(kernel.filtered):
        yield from ("no-network:seccomp", "no-processes:seccomp")


def _obtained(step: Callable[[], bool]) -> bool:
    """A C library without the function, or a kernel that answers otherwise, is a step not obtained."""
    try:
        return step()
    except (OSError, AttributeError, ValueError, TypeError):
        return False


def _readable(folder: str) -> list[str]:
    """The artifact, the interpreter and its libraries; no home, no workspace, no other process."""
    given = [folder, sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path, *_LIBRARIES]
    return [p for p in dict.fromkeys(os.path.realpath(p) for p in given if p) if p != os.sep]


def _bounded(limits: Mapping[str, int]) -> Iterator[str]:
    """CPU seconds, memory, open files; no file grows, no core is left, no process is added."""
    try:
        import resource
    except ImportError:
        return
    bounds = {
        "RLIMIT_CPU": limits["cpu_s"], "RLIMIT_AS": limits["memory_bytes"], "RLIMIT_NOFILE": limits["open_files"],
        "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NPROC": 0,
    }  # fmt: skip
    set_: list[str] = []
    for name, bound in bounds.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        try:
            _, hard = resource.getrlimit(kind)
            least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            after = (
                least + 1 if name == "RLIMIT_CPU" and least != hard else least
            )  # first SIGXCPU, which names the cause
            resource.setrlimit(kind, (least, after))
        except (ValueError, OSError):
            continue
        set_.append(name)
    if len(set_) == len(bounds):
        yield "rlimits"
    if "RLIMIT_NPROC" in set_ and os.getuid() != 0:  # the kernel exempts root from it
        yield "no-processes:rlimit"


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """Defence in depth inside Python: native code does not pass here."""
    refused = event in _REFUSED or event.startswith("socket.")
    if event == "open" and not refused:
        path, mode, flags = args
        written = bool(flags & _WRITES) if isinstance(flags, int) else any(c in str(mode) for c in "wax+")
        refused = written and path != os.devnull
    if refused:
        raise PermissionError(f"{event} is refused in a confined process.")
