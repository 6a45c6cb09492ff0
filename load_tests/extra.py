"""The libraries of the extra ``load``: imported when needed, and asked for in one line where they are missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import INSTALL, MissingExtra

_LIBRARIES = {
    "hdrh": "hdrhistogram",
    "jinja2": "jinja2",
    "markupsafe": "jinja2",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "scipy": "scipy",
}


def missing() -> str:
    """Return what to do about libraries that are not installed; empty if all are."""
    names = [library for module, library in _LIBRARIES.items() if not _is_there(module)]
    if not names:
        return ""
    return f"Not installed: {', '.join(dict.fromkeys(names))}. To measure and draw: {INSTALL}"


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:
        return False


@contextmanager
def needed() -> Iterator[None]:
    """Import what the extra installs within this. Raises :class:`MissingExtra` where it isn't installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _LIBRARIES:
            raise
        raise MissingExtra(_LIBRARIES[module]) from None
