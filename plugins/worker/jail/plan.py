"""Works out, in the host, what each layer of one worker's jail is told. Plain data in, plain data out."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from . import LAYERS, filter, landlock, layer

Orders = list[tuple[str, Any]]

_ADDRESS_SPACE_SPARE = 512 << 20
_PENDING_SIGNALS = 1024
_UNLIMITED_FILE = 1 << 40
_SITES = ("site-packages", "dist-packages")
_DATA = (
    *("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/usr/lib/locale"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"),
    *("/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf", "/etc/pki/ca-trust/extracted", "/etc/crypto-policies"),
    *("/dev/urandom", "/dev/random", "/dev/zero"),
)
_LIBRARIES = ("/lib64", "/usr/lib64")
_PROGRAMS = ("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin", "/lib", "/usr/lib", "/usr/libexec", "/lib64")


class Grants(NamedTuple):
    """What one worker may touch. ``None`` is no limit. Denied paths win over granted ones."""

    code: tuple[str, ...] = ()
    """Files and folders with the plugin's code and the packages that it may import."""
    read_paths: tuple[str, ...] = ()
    write_paths: tuple[str, ...] = ()
    deny_read_paths: tuple[str, ...] = ()
    deny_write_paths: tuple[str, ...] = ()
    scratch: str = ""
    """The private directory; empty for none."""
    scratch_bytes: int = 0
    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    open_files: int | None = None
    environment: tuple[str, ...] = ()
    subprocesses: bool = False


class Worker(NamedTuple):
    """One process that is to be confined: its id, its parent's, the descriptors that it keeps."""

    pid: int
    parent: int
    keeps: tuple[int, ...]


def orders(grants: Grants, worker: Worker, ruleset: int | None, without: Iterable[str] = ()) -> Orders:
    """Return the order for each layer that this machine can have, except ``without``; ``ruleset`` is its descriptor."""
    told: dict[str, Any] = {
        "environment": list(grants.environment),
        "descriptors": [*worker.keeps, *([] if ruleset is None else [ruleset])],
        "session": grants.scratch or "/",
        "signals": None,
        "limits": limits(grants),
        "capabilities": None,
        "parent_death": worker.parent,
        "no_new_privileges": None,
        "landlock": ruleset,
    }
    left_out = {*without, *unavailable(), *(["landlock"] if ruleset is None else [])}
    if "seccomp" not in left_out:
        told["seccomp"] = filter.for_worker(worker.pid, subprocesses=grants.subprocesses)
    return [(name, told[name]) for name in LAYERS if name not in left_out]


def prepare() -> None:
    """Work out once what is the same for all workers: call it before processes are forked that start some."""
    if "seccomp" not in unavailable():
        filter.for_worker(0)
    _interpreter()


@cache
def unavailable() -> dict[str, str]:
    """Return the layers that this machine can't have, and why."""
    reasons = {name: layer(name).probe() for name in LAYERS}
    return {name: reason for name, reason in reasons.items() if reason}


def ruleset(grants: Grants) -> tuple[int | None, tuple[str, ...]]:
    """Make the Landlock ruleset; returns its descriptor, if there is Landlock, and what does not exist."""
    try:
        fd, missing = landlock.ruleset(files(grants), policy_files(grants))
    except OSError:
        return None, ()
    wanted = {*grants.read_paths, *grants.write_paths}
    return fd, tuple(path for path in missing if path in wanted)


def files(grants: Grants) -> list[tuple[str, int]]:
    """Return every path that each worker can reach, with its rights; rights to a folder are rights to what is in it."""
    found = [*_interpreter(), *((path, landlock.READ) for path in grants.code)]
    found += [(path, landlock.READ) for path in _carved(_DATA, grants.deny_read_paths)]
    found.append(("/dev/null", landlock.READ_FILE | landlock.WRITE_FILE))
    if grants.scratch:
        found.append((grants.scratch, landlock.READ | landlock.WRITE))
    if grants.subprocesses:
        found += [(path, landlock.READ | landlock.EXECUTE) for path in (*_PROGRAMS, os.path.realpath(sys.executable))]
    return found


def policy_files(grants: Grants) -> list[tuple[str, int]]:
    """Return the paths that the policy names, which are resolved, with their rights."""
    readable = _carved(grants.read_paths + grants.write_paths, grants.deny_read_paths)
    # What can't be read can't be written either: it could be moved to where it can be read.
    writable = _carved(grants.write_paths, grants.deny_write_paths + grants.deny_read_paths)
    return [*((path, landlock.READ) for path in readable), *((path, landlock.WRITE) for path in writable)]


def limits(grants: Grants) -> dict[str, tuple[int, int]]:
    """Return the limit of each resource, soft and hard."""
    file_bytes = grants.scratch_bytes if grants.scratch and not grants.write_paths else _UNLIMITED_FILE
    told = dict.fromkeys(("RLIMIT_CORE", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO"), (0, 0))
    told["RLIMIT_SIGPENDING"] = (_PENDING_SIGNALS, _PENDING_SIGNALS)
    told["RLIMIT_FSIZE"] = (file_bytes, file_bytes)
    if grants.open_files is not None:
        told["RLIMIT_NOFILE"] = (grants.open_files, grants.open_files)
    if grants.cpu_seconds is not None:
        # At the soft limit the kernel sends SIGXCPU, which may be caught; at the hard one it kills.
        told["RLIMIT_CPU"] = (grants.cpu_seconds, grants.cpu_seconds + 1)
    if grants.memory_bytes is not None:
        more = grants.memory_bytes + _ADDRESS_SPACE_SPARE
        told["RLIMIT_DATA"] = (grants.memory_bytes, grants.memory_bytes)
        told["MORE_AS"] = (more, more)
    return told


@cache
def _interpreter() -> tuple[tuple[str, int], ...]:
    """Return the standard library without what is installed beside it, and the libraries of the system."""
    folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    entries = [entry for folder in sorted(folders) if os.path.isdir(folder) for entry in os.scandir(folder)]
    kept = [(entry.path, _reading(entry)) for entry in entries if entry.name not in _SITES]
    return (*kept, *((path, landlock.READ) for path in _libraries()))


def _reading(entry: os.DirEntry[str]) -> int:
    return landlock.READ if entry.is_dir() else landlock.READ_FILE


def _libraries() -> Iterator[str]:
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        yield from (f"/lib/{multiarch}", f"/usr/lib/{multiarch}")
    yield from _LIBRARIES
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    if folder and name:
        yield os.path.join(folder, name)


def _carved(paths: Sequence[str], denied: Sequence[str]) -> list[str]:
    """Return ``paths`` without ``denied``: Landlock only grants, so that a folder is replaced by what is left of it."""
    return [left for path in paths for left in _carve(path, denied)]


def _carve(path: str, denied: Sequence[str]) -> Iterator[str]:
    if any(_is_within(path, [root]) for root in denied):
        return
    if not any(_is_within(root, [path]) for root in denied):
        yield path
        return
    try:
        names = os.listdir(path)
    except OSError:
        return
    for name in names:
        inner = os.path.join(path, name)
        if not os.path.islink(inner):
            yield from _carve(inner, denied)


def _is_within(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)
