"""What plugins may touch: the operator's ceiling, what a bundle asks for, and what the configuration says of one."""

from __future__ import annotations

import os
import re

from attrs import field, frozen

from . import checks
from .checks import MIB, absolute_path, shown
from .network import network_rule

KEY_PREFIX = "ed25519:"


def _trusted_key_reason(value: object) -> str | None:
    if isinstance(value, str) and re.fullmatch(KEY_PREFIX + "[A-Za-z0-9+/]{43}=", value):
        return None
    if isinstance(value, str) and os.path.isabs(value) and not absolute_path.faults(value):
        return None
    return f"must be a public key ({KEY_PREFIX} and 44 characters) or the absolute path of a file, not {shown(value)}"


wall_time = checks.number(0.001, 3600)
_memory = checks.whole(16 * MIB, 1024 * 1024 * MIB)
_cpu_seconds = checks.whole(1, 31_536_000)
_open_files = checks.whole(16, 1_048_576)
_threads = checks.whole(1, 4096)
_scratch = checks.whole(0, 1024 * 1024 * MIB)
_paths = checks.each(checks.absolute_path)
_network = checks.each(network_rule)
_environment = checks.each(checks.text("[A-Za-z_][A-Za-z0-9_]{0,254}", "the name of an environment variable"))
_packages = checks.each(
    checks.text("[A-Za-z_][A-Za-z0-9_]{0,254}", "the name of a top-level package as it is imported, without dots")
)
_trusted_keys = checks.each(checks.check(_trusted_key_reason))


@frozen
class Ceiling:
    """The most that the operator allows any plugin. ``None`` is no limit; an empty list allows nothing."""

    read_paths: tuple[str, ...] = field(default=(), validator=_paths)
    write_paths: tuple[str, ...] = field(default=(), validator=_paths)
    network: tuple[str, ...] = field(default=(), validator=_network)
    memory_bytes: int | None = field(default=None, validator=checks.optional(_memory))
    cpu_seconds: int | None = field(default=None, validator=checks.optional(_cpu_seconds))
    wall_time_s: float = field(default=60.0, validator=wall_time)
    open_files: int = field(default=256, validator=_open_files)
    environment: tuple[str, ...] = field(default=(), validator=_environment)
    subprocesses: bool = field(default=False, validator=checks.flag)
    threads: int = field(default=64, validator=_threads)
    scratch_bytes: int = field(default=64 * MIB, validator=_scratch)
    packages: tuple[str, ...] = field(default=(), validator=_packages)
    deny_read_paths: tuple[str, ...] = field(default=(), validator=_paths)
    deny_write_paths: tuple[str, ...] = field(default=(), validator=_paths)
    deny_network: tuple[str, ...] = field(default=(), validator=_network)
    trusted_keys: tuple[str, ...] = field(default=(), validator=_trusted_keys)
    """Public keys, and files of them; with any, only what one of them has signed is loaded."""


@frozen
class SandboxRequest:
    """What a bundle asks for. ``None`` takes the ceiling's value; an empty list, 0 or ``False`` asks for nothing.

    What a bundle denies itself holds as what the ceiling denies.
    """

    read_paths: tuple[str, ...] = field(default=(), validator=_paths)
    write_paths: tuple[str, ...] = field(default=(), validator=_paths)
    network: tuple[str, ...] = field(default=(), validator=_network)
    memory_bytes: int | None = field(default=None, validator=checks.optional(_memory))
    cpu_seconds: int | None = field(default=None, validator=checks.optional(_cpu_seconds))
    wall_time_s: float | None = field(default=None, validator=checks.optional(wall_time))
    open_files: int | None = field(default=None, validator=checks.optional(_open_files))
    environment: tuple[str, ...] = field(default=(), validator=_environment)
    subprocesses: bool = field(default=False, validator=checks.flag)
    threads: int | None = field(default=None, validator=checks.optional(_threads))
    scratch_bytes: int = field(default=0, validator=_scratch)
    packages: tuple[str, ...] = field(default=(), validator=_packages)
    deny_read_paths: tuple[str, ...] = field(default=(), validator=_paths)
    deny_write_paths: tuple[str, ...] = field(default=(), validator=_paths)
    deny_network: tuple[str, ...] = field(default=(), validator=_network)


@frozen
class SandboxOverride:
    """What the operator says of one plugin: each value replaces the bundle's request, ``None`` leaves it.

    The ceiling holds for it as well. What is denied here is denied besides.
    """

    read_paths: tuple[str, ...] | None = field(default=None, validator=checks.optional(_paths))
    write_paths: tuple[str, ...] | None = field(default=None, validator=checks.optional(_paths))
    network: tuple[str, ...] | None = field(default=None, validator=checks.optional(_network))
    memory_bytes: int | None = field(default=None, validator=checks.optional(_memory))
    cpu_seconds: int | None = field(default=None, validator=checks.optional(_cpu_seconds))
    wall_time_s: float | None = field(default=None, validator=checks.optional(wall_time))
    open_files: int | None = field(default=None, validator=checks.optional(_open_files))
    environment: tuple[str, ...] | None = field(default=None, validator=checks.optional(_environment))
    subprocesses: bool | None = field(default=None, validator=checks.optional(checks.flag))
    threads: int | None = field(default=None, validator=checks.optional(_threads))
    scratch_bytes: int | None = field(default=None, validator=checks.optional(_scratch))
    packages: tuple[str, ...] | None = field(default=None, validator=checks.optional(_packages))
    deny_read_paths: tuple[str, ...] | None = field(default=None, validator=checks.optional(_paths))
    deny_write_paths: tuple[str, ...] | None = field(default=None, validator=checks.optional(_paths))
    deny_network: tuple[str, ...] | None = field(default=None, validator=checks.optional(_network))
