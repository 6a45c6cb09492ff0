"""Stubs: plugins that stand, in tests, for those that a plugin depends on."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .actors.dependencies import version_within
from .config.checks import shown
from .plugins.manifest import Manifest

Replies = Mapping[bytes, bytes | Exception | None]
"""What a stub replies to which data: bytes, nothing, or an exception that its handler raises."""

_CODE = Path(__file__).with_name("data") / "stub" / "plugin.py"
_LEAST_ID = 4_000_000_000


def write_stub(folder: Path, name: str, version: str) -> Path:
    """Write the bundle of a stub below ``folder``, and return its path."""
    bundle = folder / f"{name}-{version}"
    bundle.mkdir(parents=True)
    shutil.copyfile(_CODE, bundle / "plugin.py")
    (bundle / "plugin.toml").write_text(
        f'id = {stub_id(name)}\nname = "{name}"\nversion = "{version}"\napi_version = 1\nentry_point = "plugin:Stub"\n'
        'permissions = ["handshake", "data_access", "control", "error_reporting"]\n'
    )
    return bundle


def stub_id(name: str) -> int:
    """The id of a stub: the same for a name wherever it is made, and beyond those that authors choose."""
    return _LEAST_ID + zlib.crc32(name.encode()) % 200_000_000


def stub_config(replies: Replies) -> dict[str, Any]:
    """What a stub is configured with. Raises :class:`TypeError` for replies that are none."""
    return {"replies": [_entry(data, reply) for data, reply in replies.items()]}


def _entry(data: object, reply: object) -> dict[str, Any]:
    if not isinstance(data, bytes) or not (reply is None or isinstance(reply, (bytes, Exception))):
        raise TypeError(f"a stub maps bytes to bytes, an exception or None, not {shown(data)} to {shown(reply)}")
    if isinstance(reply, Exception):
        return {"data": data, "error": [type(reply).__name__, str(reply)]}
    return {"data": data, "reply": reply}


def stub_version(manifest: Manifest, name: str) -> str:
    """A version that the plugin with this manifest is content with."""
    return version_within({**manifest.optional, **manifest.requires}.get(name, ""))
