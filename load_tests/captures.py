"""Where captures are: recorded frames, those that come with the package and others."""

from __future__ import annotations

from pathlib import Path

import nyx_plugins
from nyx_plugins import NyxPluginError, StreamDecoder
from nyx_plugins.config.files import open_at_once

BUILTIN = "builtin:"
SUFFIX = ".nyxcap"


def capture_path(name: str, base: Path) -> Path:
    """Return where a capture is: below ``base`` or anywhere, or in the package for ``builtin:NAME``."""
    if name.startswith(BUILTIN):
        return Path(nyx_plugins.__file__).parent / "data" / (name.removeprefix(BUILTIN) + SUFFIX)
    return base / Path(name).expanduser()


def frames_in(path: Path, most_bytes: int) -> list[tuple[int, bytes]]:
    """Return the frames of a capture, each as its type and its payload, of at most so many bytes.

    Raises :class:`OSError`, and what :class:`StreamDecoder` raises for what is none.
    """
    decoder = StreamDecoder(most_bytes)
    with open(path, "rb", opener=open_at_once) as file:
        data = file.read()
    frames = [(frame.kind, frame.payload) for frame in decoder.feed(data) if isinstance(frame.kind, int)]
    decoder.finish()
    return frames


def capture_reason(name: str, base: Path, most_bytes: int) -> str | None:
    """Return why nothing of this capture can be sent, or ``None``."""
    path = capture_path(name, base)
    try:
        return None if frames_in(path, most_bytes) else f"{path} has no frame in it"
    except OSError as error:
        return f"{path} can't be read: {error.strerror}"
    except NyxPluginError as error:
        return f"{path} is no capture: {error}"
