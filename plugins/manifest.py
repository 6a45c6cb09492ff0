"""``plugin.toml``: what a bundle says about itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Literal

import attrs
from attrs import field
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from ..config import checks, settings
from ..config.checks import Check, shown, shown_key
from ..config.documents import parse_toml, structure
from ..config.errors import ConfigError, Fault
from ..config.frame_types import permission_name
from ..config.sandbox import SandboxRequest
from .errors import ManifestError
from .negotiation import HandshakeOffer
from .permissions import ALL_PERMISSIONS

API_VERSION = 1
MANIFEST_NAME = "plugin.toml"
MAX_MANIFEST_BYTES = 64 * 1024
MAX_DOTS = 200  # in one line: tomllib needs time and memory by the square of a dotted key's length, gigabytes at 64 KiB
MAX_VERSION_CHARS = 128  # longer ones could hold numbers that int() refuses to read
NAME_PATTERN = "[a-z0-9][a-z0-9_.-]{0,63}"

RestartPolicy = Literal["permanent", "transient", "temporary"]
Balance = Literal["round_robin", "least_loaded", "by_key"]


def _version_reason(value: object) -> str | None:
    if isinstance(value, str) and len(value) <= MAX_VERSION_CHARS:
        with suppress(InvalidVersion):
            Version(value)
            return None
    return f"must be a version as in PEP 440, such as '1.0.0', not {shown(value)}"


def _specifier_reason(value: object) -> str | None:
    if isinstance(value, str) and len(value) <= MAX_VERSION_CHARS:
        with suppress(InvalidSpecifier):
            SpecifierSet(value)
            return None
    return f"must be version specifiers such as '>=1.2,<2', not {shown(value)}"


def _requirement_faults(requires: Mapping[object, object]) -> Iterator[Fault]:
    for name, wanted in requires.items():
        yield from _name.faults(name, shown_key(name))
        yield from checks.check(_specifier_reason).faults(wanted, shown_key(name))


_version = checks.check(_version_reason)
_name = checks.text(NAME_PATTERN, f"a plugin name ({NAME_PATTERN})")
_api_version = checks.one_of(API_VERSION)
_entry_point = checks.text(
    r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", "'module:Class' with the module's name inside the bundle"
)
_description = checks.text(r"[^\0]{0,1000}", "text of at most 1,000 characters")
_permissions = checks.each(permission_name)


@attrs.frozen
class RestartRequest:
    """When the plugin is restarted, and how often within how many seconds (``None``: as configured)."""

    policy: RestartPolicy = field(default="permanent", validator=checks.one_of("permanent", "transient", "temporary"))
    max_restarts: int | None = field(default=None, validator=checks.optional(settings.max_restarts))
    within_s: float | None = field(default=None, validator=checks.optional(settings.restart_window))


@attrs.frozen
class Manifest:
    """What a bundle is, what it asks for, and what it requires. Checked when it is built (ConfigError)."""

    id: int = field(validator=settings.plugin_id)
    name: str = field(validator=_name)
    version: str = field(validator=_version)
    api_version: int = field(validator=_api_version)
    entry_point: str = field(validator=_entry_point)
    description: str = field(default="", validator=_description)
    permissions: tuple[str, ...] = field(default=(), validator=_permissions)
    capacity: int | None = field(default=None, validator=checks.optional(settings.capacity))
    capacity_bytes: int | None = field(default=None, validator=checks.optional(settings.capacity_bytes))
    restart: RestartRequest = field(factory=RestartRequest, validator=checks.instance_of(RestartRequest))
    sandbox: SandboxRequest = field(factory=SandboxRequest, validator=checks.instance_of(SandboxRequest))
    instances: int = field(default=1, validator=settings.instances)
    balance: Balance = field(default="round_robin", validator=checks.one_of("round_robin", "least_loaded", "by_key"))
    idempotent: bool = field(default=False, validator=checks.instance_of(bool))
    max_deliveries: int = field(default=3, validator=settings.max_deliveries)
    requires: dict[str, str] = field(factory=dict, validator=Check(_requirement_faults))
    optional: dict[str, str] = field(factory=dict, validator=Check(_requirement_faults))
    require_handshake: bool = field(default=False, validator=checks.flag)
    handshake: HandshakeOffer = field(factory=HandshakeOffer, validator=checks.instance_of(HandshakeOffer))

    def __attrs_post_init__(self) -> None:
        """Refuse a plugin that needs itself, or says of the same plugin that it has to be there and need not be."""
        faults = [
            Fault(f"{table}.{shown_key(self.name)}", "must be another plugin, not the plugin itself")
            for table in ("requires", "optional")
            if self.name in getattr(self, table)
        ]
        faults += [
            Fault(f"optional.{shown_key(name)}", "must not be required as well")
            for name in self.optional
            if name in self.requires
        ]
        if faults:
            raise ConfigError("Manifest", faults)

    def offer(self, required: bool | None = None) -> HandshakeOffer | None:
        """What a sender has to come to terms with, if it has to; what an operator has said goes before the manifest."""
        return self.handshake if (self.require_handshake if required is None else required) else None


def parse_manifest(text: str | bytes, source: str, permissions: Collection[str] = ALL_PERMISSIONS) -> Manifest:
    """The manifest that ``text`` spells. Raises ManifestError with all faults; ``source`` names the document.

    ``permissions`` are those that there are: a system whose configuration names frame types may have more.
    """
    if oversize := _oversize(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")):
        raise ManifestError(source, [Fault("", oversize)])
    data = parse_toml(text, source=source, error=ManifestError)
    unknown = list(_unknown_permissions(data.get("permissions"), permissions))
    try:
        manifest = structure(data, Manifest, source=source, error=ManifestError)
    except ManifestError as error:
        raise ManifestError(source, [*error.faults, *unknown]) from None
    if unknown:
        raise ManifestError(source, unknown)
    return manifest


def _unknown_permissions(listed: object, known: Collection[str]) -> Iterator[Fault]:
    """Faults of names that could be permissions, and are none here; the others are found anyway."""
    one_of_these = checks.one_of(*sorted(known))
    for index, name in enumerate(listed if isinstance(listed, list) else ()):
        if not permission_name.faults(name):
            yield from one_of_these.faults(name, f"permissions[{index}]")


def _oversize(raw: bytes) -> str | None:
    if len(raw) > MAX_MANIFEST_BYTES:
        return f"must have at most {MAX_MANIFEST_BYTES:,} bytes, not {len(raw):,}"
    for number, line in enumerate(raw.split(b"\n"), 1):
        if (dots := line.count(b".")) > MAX_DOTS:
            return f"must have at most {MAX_DOTS} dots in a line, not {dots:,} as in line {number}"
    return None
