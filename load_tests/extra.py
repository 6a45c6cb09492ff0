"""The libraries of the extra ``load``: imported when needed, and asked for in one line where they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import MissingExtra

_LIBRARIES = {"hdrh": "hdrhistogram", "jinja2": "jinja2", "matplotlib": "matplotlib", "scipy": "scipy"}


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
