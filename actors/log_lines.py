"""Log lines as they come to the application: what plugins say, and what the host's processes print.

All goes to standard :mod:`logging`, under ``nyx_plugins``: a plugin's lines to ``nyx_plugins.plugin.NAME``, with
``plugin_id`` and ``plugin`` on the record; the host's to ``nyx_plugins.host``, with ``pid`` where it is known.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from typing import Any

import attrs

PLUGINS = "nyx_plugins.plugin"
HOST = "nyx_plugins.host"


@attrs.frozen
class HostLine:
    """What a process of the host has printed: one line, or several that belong together."""

    text: str
    level: int = logging.WARNING
    pid: int | None = None


def printable(text: str) -> str:
    """Escape what a terminal or the reader of a log might obey, line ends and tabs excepted."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text
    )


def write_plugin_lines(plugin_id: int | None, name: str, lines: Iterable[tuple[int, str]], dropped: int) -> None:
    """Log what a plugin has logged or printed; ``dropped`` lines were lost because this program did not keep up."""
    logger = logging.getLogger(f"{PLUGINS}.{name}" if name else PLUGINS)
    extra = {"plugin_id": plugin_id, "plugin": name}
    if dropped:
        _write(logger, logging.WARNING, f"{dropped:,} log lines dropped: they came faster than they were taken", extra)
    for level, text in lines:
        _write(logger, level, text, extra)


def write_host_line(line: HostLine) -> None:
    """Log what a process of the host has printed."""
    _write(logging.getLogger(HOST), line.level, line.text, {} if line.pid is None else {"pid": line.pid})


def _write(logger: logging.Logger, level: int, text: str, extra: dict[str, Any]) -> None:
    # What the application's own handlers raise must not end the thread on which everything arrives.
    with contextlib.suppress(Exception):
        logger.log(level, "%s", printable(text), extra=extra)
