"""Texts that are kept with a result, and may be published: they name no place of the machine they come from."""

from __future__ import annotations

import re
import socket

# An absolute path up to its last part, which tells enough.
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/'\":,;()<>]+/)+")
_ADDRESS = re.compile(r"(?<![\w.])(?!127\.)\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")


def anonymous(text: str, host: str = "") -> str:
    """Return ``text`` without folders, addresses and the name of this machine, or of ``host``."""
    name = re.escape(host or socket.gethostname())
    without_folders = _FOLDERS.sub(".../", text)
    return _ADDRESS.sub("(address)", re.sub(rf"(?<![\w-]){name}(?![\w-])", "(host)", without_folders))
