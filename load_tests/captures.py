"""Where captures are: recorded frames, those that come with the package and others."""

from __future__ import annotations

from pathlib import Path

import nyx_plugins

BUILTIN = "builtin:"
SUFFIX = ".nyxcap"


def capture_path(name: str, base: Path) -> Path:
    """Return where a capture is: below ``base`` or anywhere, or in the package for ``builtin:NAME``."""
    if name.startswith(BUILTIN):
        return Path(nyx_plugins.__file__).parent / "data" / (name.removeprefix(BUILTIN) + SUFFIX)
    return base / Path(name).expanduser()
