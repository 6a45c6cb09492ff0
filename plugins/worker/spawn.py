"""How the host starts a worker: its command line, its environment, and the START message."""

from __future__ import annotations

import compileall
import functools
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .protocol import START, ProtocolError

if TYPE_CHECKING:
    from .protocol import Message

_ROOT = __name__.partition(".")[0]
_ALWAYS = (_ROOT, f"{_ROOT}.config", f"{_ROOT}.plugins", "cbor2")
_BOOTSTRAP = os.path.join(os.path.dirname(__file__), "bootstrap.py")
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    # Its threads would each take address space for nothing: a worker's handlers run one at a time.
    "OPENBLAS_NUM_THREADS": "1",
    # The C library would give the memory of a batch back and fetch it again for the next, as chance has it: that costs
    # a worker up to a third of its speed.
    "MALLOC_TRIM_THRESHOLD_": "4194304",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
}


def worker_command(sock_fd: int, page_fd: int, extra_packages: Sequence[str] = ()) -> list[str]:
    """Build the command that starts a worker on two inherited descriptors: its socket, and its page.

    Besides the standard library it can import the SDK, cbor2 and ``extra_packages`` (top-level names).
    Raises :class:`ModuleNotFoundError` for a package that is not installed.
    """
    return _command("worker", sock_fd, page_fd, (*_ALWAYS, *extra_packages))


def nursery_command(listener_fd: int, parent_pid: int) -> list[str]:
    """Build the command that starts a nursery (:mod:`.nursery`) on an inherited socket; it ends with its parent."""
    return _command("nursery", listener_fd, parent_pid, _ALWAYS)


def locations(packages: Iterable[str]) -> list[tuple[str, str]]:
    """Return each package's name and the file to import; raises :class:`ModuleNotFoundError`."""
    return [(name, _location(name)) for name in packages]


def prepare() -> None:
    """Do once what would slow every worker's start: compile its modules, even where Python is told to write no files.

    Call it in the host before the first worker. A directory that can't be written is left alone.
    """
    for name in _ALWAYS[:-1]:
        folder = os.path.dirname(_location(name))
        compileall.compile_dir(folder, maxlevels=0, quiet=2)
    compileall.compile_dir(os.path.dirname(__file__), maxlevels=1, quiet=2)


def worker_environment(names: Iterable[str] = (), scratch: str = "") -> dict[str, str]:
    """Build a worker's environment: a few fixed variables, those of ``names`` that are set here, and ``TMPDIR``."""
    temporary = {"TMPDIR": scratch} if scratch else {}
    return _ENVIRONMENT | {name: os.environ[name] for name in names if name in os.environ} | temporary


def code_paths(bundle: str, packages: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what a worker has to be able to read to run a bundle: it, the SDK, cbor2 and the packages.

    Raises :class:`ModuleNotFoundError` for a package that is not installed.
    """
    root, *others = (_location(name) for name in (*_ALWAYS, *packages))
    libraries = (path for name in packages for path in _bundled_libraries(name))
    return (bundle, root, *map(_with_its_folder, others), *libraries)


def start_message(
    *,
    plugin_id: int,
    name: str,
    bundle: str,
    entry_point: str,
    config: Mapping[str, Any],
    max_reply_bytes: int,
    max_snapshot_bytes: int = 0,
    jail: Sequence[tuple[str, Any]] = (),
    scratch: str = "",
    policy: Mapping[str, Any] | None = None,
    standby: bool = False,
) -> Message:
    """Build START; ``jail`` is what each layer is told, in order; ``policy`` explains refusals.
    With ``standby`` the worker is to take another one's place: it gets no frames before RESTORE.

    Dates in ``config`` become ISO text.

    Raises :class:`ProtocolError` for a value that plain CBOR can't hold.
    """
    fields = {
        "plugin_id": plugin_id,
        "name": name,
        "bundle": bundle,
        "entry_point": entry_point,
        "config": _plain(config, "config"),
        "max_reply_bytes": max_reply_bytes,
        "max_snapshot_bytes": max_snapshot_bytes,
        "jail": _plain(jail, "jail"),
        "scratch": scratch,
        "policy": _plain(policy, "policy"),
        "standby": standby,
    }
    return [START, fields]


def _command(role: str, one: int, other: int, packages: Iterable[str]) -> list[str]:
    named = [f"{name}={path}" for name, path in locations(packages)]
    return [sys.executable, "-I", "-S", "-B", _BOOTSTRAP, role, str(one), str(other), *named]


@functools.cache
def _location(name: str) -> str:
    spec = find_spec(name)
    if spec is None or not spec.has_location or spec.origin is None:
        raise ModuleNotFoundError(f"no package {name!r} that a worker could import is installed", name=name)
    return spec.origin


@functools.cache
def _bundled_libraries(package: str) -> tuple[str, ...]:
    """Return the folders in which wheels put the shared libraries that a package brings with it."""
    from importlib.metadata import packages_distributions

    site = os.path.dirname(_with_its_folder(_location(package)))
    names = {name.lower().replace("-", "_") for name in (package, *packages_distributions().get(package, ()))}
    found = (entry.path for entry in os.scandir(site) if entry.name.endswith(".libs"))
    return tuple(path for path in found if os.path.basename(path)[:-5].lower().replace("-", "_") in names)


def _with_its_folder(origin: str) -> str:
    return os.path.dirname(origin) if os.path.basename(origin).startswith("__init__.") else origin


def _plain(value: Any, key: str) -> Any:
    match value:
        case None | bool() | float() | str() | bytes():
            return value
        case int() if -(1 << 64) <= value < 1 << 64:
            return value
        case list() | tuple():
            return [_plain(item, f"{key}[{number}]") for number, item in enumerate(value)]
        case Mapping():
            return {str(name): _plain(item, f"{key}.{name}") for name, item in value.items()}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise ProtocolError(f"{key} is {type(value).__name__}, which a worker can't be given")
