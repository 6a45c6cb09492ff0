"""How a program shows the log: text or JSON lines on a stream, from a level on, by logger.

Everything is said to the standard module :mod:`logging`, and nothing is shown until somebody configures it. A program
that embeds a system configures logging as it likes; ``nyx-plugins serve`` calls :func:`configure`, as any program may.

=================================  ===================================================================================
``nyx_plugins``                    the system itself, in the application's process, and all below
``nyx_plugins.plugin.NAME``        what a plugin logs or prints; records have ``plugin_id`` and ``plugin``
``nyx_plugins.host``               what the host's processes print: crashes, libraries; ``pid`` where it is known
=================================  ===================================================================================
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from ..actors.log_lines import HOST, printable
from ..config.settings import LoggingSettings

# How long a line may wait for a stream that takes nothing, in seconds.
PATIENCE_S = 1.0


def configure(settings: LoggingSettings, stream: TextIO | None = None) -> None:
    """Show all records of this process on ``stream`` (standard error) as ``settings`` say.

    May be called again at any time, with other settings: they replace what was there. Handlers of others stay.
    """
    root = logging.getLogger()
    found = [handler for handler in root.handlers if isinstance(handler, LogHandler)]
    handler = found[0] if found else LogHandler()
    handler.setStream(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    handler.set_levels({"": settings.level, **settings.levels})
    # A handler that is there already is not added again.
    root.addHandler(handler)


def unconfigure() -> None:
    """Undo :func:`configure`, for programs that go on without a log."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogHandler)]:
        handler.set_levels({})
        root.removeHandler(handler)


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream that may go away, stand still, or know few characters: no matter of whoever logs.

    A pipe that nobody reads, or a terminal that is stopped, is waited for once, not for long. Then lines are dropped
    until there is room again; how many were is a line itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: list[tuple[str, int]] = []
        self._stands_still = False
        self._is_torn = False
        self._dropped = 0

    def set_levels(self, levels: dict[str, str]) -> None:
        """Set the levels of loggers by name, the root's being empty; others get back what they had before."""
        for name, before in reversed(self._before):
            logging.getLogger(name).setLevel(before)
        self._before = [(name, logging.getLogger(name).level) for name in levels]
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level.upper())

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or drop it."""
        try:
            if self._dropped and self._write(self.format(_dropped_record(self._dropped))):
                self._dropped = 0
            self._dropped += not self._write(self.format(record))
        except Exception:
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, escaping what the stream can't encode."""
        return super().format(record).encode(self._encoding, "backslashreplace").decode(self._encoding)

    @property
    def _encoding(self) -> str:
        return getattr(self.stream, "encoding", None) or "utf-8"

    def _write(self, line: str) -> bool:
        """Write a line; returns whether all of it was taken."""
        try:
            fd = self.stream.fileno()
        except (AttributeError, OSError, ValueError):
            # No file, but something in memory; or closed, which writing tells.
            self.stream.write(line + self.terminator)
            self.flush()
            return True
        rest = (self.terminator * self._is_torn + line + self.terminator).encode(self._encoding)
        size = len(rest)
        while rest and self._has_room(fd):
            rest = rest[os.write(fd, rest[: select.PIPE_BUF]) :]
        self._is_torn = bool(rest) and (self._is_torn or len(rest) < size)
        return not rest

    def _has_room(self, fd: int) -> bool:
        """Wait for room, unless there was none the last time."""
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        self._stands_still = not poll.poll(0 if self._stands_still else PATIENCE_S * 1000)
        return not self._stands_still

    def flush(self) -> None:
        """Write what is held back, unless the stream has gone."""
        with contextlib.suppress(OSError, ValueError):
            super().flush()

    def handleError(self, record: logging.LogRecord) -> None:  # logging's name
        """Say nothing when the stream is closed, or nobody reads it: there is no other place to say it."""
        if not isinstance(sys.exception(), OSError | ValueError):
            super().handleError(record)


class TextLines(logging.Formatter):
    """``TIME LEVEL LOGGER [plugin 7]: MESSAGE``, or ``[pid 4711]``; further lines are indented, and none is obeyed."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        about = "".join(
            f" [{label} {getattr(record, name)}]"
            for name, label in (("plugin_id", "plugin"), ("pid", "pid"))
            if hasattr(record, name)
        )
        heading = f"{_time(record)} {record.levelname} {record.name}{about}"
        return printable(f"{heading}: {super().format(record)}").replace("\n", "\n    ")


class JsonLines(JsonFormatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, ``pid``, and what else a record holds."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Put what every line has first."""
        log_data.update(time=_time(record), level=record.levelname.lower(), logger=record.name)
        super().add_fields(log_data, record, message_dict)
        pid = _pid(record)
        if pid is not None:
            log_data["pid"] = pid


def _dropped_record(count: int) -> logging.LogRecord:
    text = f"{count:,} lines dropped: nobody took them"
    return logging.LogRecord("nyx_plugins", logging.WARNING, __file__, 0, text, None, None)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _pid(record: logging.LogRecord) -> int | None:
    """The process that the record is of; that of a plugin is not known, nor is it always known who printed a line."""
    if hasattr(record, "pid"):
        return int(record.pid)
    return None if hasattr(record, "plugin_id") or record.name == HOST else record.process
