"""What a plugin is written against: it subclasses :class:`Plugin`, and is given a :class:`Context` and frames."""

from __future__ import annotations

from _operator import index
from _thread import allocate_lock

# Spelt out, here and in all that a worker loads: importing typing would double the time in which a worker starts.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from socket import socket
    from typing import IO, Any, ClassVar

    from .worker.http import Http
    from .worker.outside import Outside
    from .worker.peers import Peers

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
DATA_FRAME, CONTROL_FRAME = 0x52, 0x53
OWN_FRAMES = (0x50, *range(0x55, 0x60))
"""Types that the protocol leaves to its users; which of them there are, the configuration says."""


class Frame:
    """One frame as a handler gets it: ``type`` (0x50 to 0x5F), ``flags`` (0 to 255) and ``data``. Read it only."""

    __slots__ = ("data", "flags", "type")

    def __init__(self, type: int, flags: int, data: bytes) -> None:
        self.type = type
        self.flags = flags
        self.data = data

    def __repr__(self) -> str:
        return f"Frame(type=0x{self.type:02x}, flags=0x{self.flags:02x}, data={self.data!r})"


class Logger:
    """Sends lines to the host's log, which limits their rate: a small look-alike of :class:`logging.Logger`.

    Arguments are filled in as by :mod:`logging`. ``exc_info`` adds a traceback: that of the exception being handled, of
    an exception, or of what ``sys.exc_info()`` returns. Other keywords of :mod:`logging` (``extra``, ``stack_info``,
    ``stacklevel``) are taken and change nothing.
    """

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[int, str], None]) -> None:
        self._write = write

    def debug(self, msg: object, *args: object, exc_info: object = None, **ignored: object) -> None:
        """Log what helps to find a fault."""
        self._log(DEBUG, msg, args, exc_info)

    def info(self, msg: object, *args: object, exc_info: object = None, **ignored: object) -> None:
        """Log an event of normal operation."""
        self._log(INFO, msg, args, exc_info)

    def warning(self, msg: object, *args: object, exc_info: object = None, **ignored: object) -> None:
        """Log what an operator should look at some time."""
        self._log(WARNING, msg, args, exc_info)

    def error(self, msg: object, *args: object, exc_info: object = None, **ignored: object) -> None:
        """Log what went wrong."""
        self._log(ERROR, msg, args, exc_info)

    def exception(self, msg: object, *args: object, exc_info: object = True, **ignored: object) -> None:
        """Log what went wrong, with the traceback of the exception being handled."""
        self._log(ERROR, msg, args, exc_info)

    def _log(self, level: int, msg: object, args: tuple[object, ...], exc_info: object) -> None:
        text = _filled(msg, args)
        self._write(level, f"{text}\n{_traceback(exc_info)}" if exc_info else text)


class Context:
    """The plugin's view of the runtime: who it is (``plugin_id``, ``name``), its ``config``, and the way out.

    ``scratch`` is the path of its private directory for files, which is empty at each start, and where ``tempfile``
    puts its own; it is ``""`` when the plugin's policy has none.
    """

    __slots__ = (
        "_emit",
        "_make_outside",
        "_make_peers",
        "_making",
        "_max_emit_bytes",
        "_outside",
        "_peers",
        "config",
        "logger",
        "name",
        "plugin_id",
        "scratch",
    )

    def __init__(
        self,
        plugin_id: int,
        name: str,
        config: Mapping[str, Any],
        *,
        emit: Callable[[int, int, bytes], None],
        log: Callable[[int, str], None],
        max_emit_bytes: int,
        scratch: str = "",
        outside: Callable[[], Outside] | None = None,
        peers: Callable[[], Peers] | None = None,
    ) -> None:
        self.plugin_id = plugin_id
        self.name = name
        self.config = config
        self.scratch = scratch
        self.logger = Logger(log)
        self._emit = emit
        self._max_emit_bytes = max_emit_bytes
        self._make_outside = outside
        self._outside: Outside | None = None
        self._make_peers = peers
        self._peers: Peers | None = None
        self._making = allocate_lock()

    def emit(self, data: bytes, frame_type: int = DATA_FRAME, flags: int = 0) -> None:
        """Send a frame of the plugin's own accord, from any thread; it travels in order with the plugin's replies.

        For each program that listens at most ``limits.event_queue`` frames and 1 MiB wait, or one larger frame: one
        that is slower loses the oldest, and the plugin's log says so once.

        Raises :class:`TypeError` when ``data`` is no bytes, or ``frame_type`` or ``flags`` no integer, and
        :class:`ValueError` when ``frame_type`` is not in 0x50 to 0x5F, ``flags`` not in 0 to 255, or ``data`` longer
        than a reply may be.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"emit() takes bytes, not {type(data).__name__}")
        plain_type, plain_flags = plain_int(frame_type, 0x50, 0x5F, "frame type"), plain_int(flags, 0, 0xFF, "flags")
        copy = plain_bytes(data)
        if len(copy) > self._max_emit_bytes:
            raise ValueError(f"emit of {len(copy):,} bytes: the limit is {self._max_emit_bytes:,}")
        self._emit(plain_type, plain_flags, copy)

    def send(
        self,
        plugin: str | int,
        data: bytes,
        *,
        frame_type: int = DATA_FRAME,
        flags: int = 0,
        timeout: float | None = None,
    ) -> None:
        """Send a frame to a plugin that the manifest names in ``requires`` or ``optional``, by its name or its id.

        Returns once it is accepted, waiting for room up to ``timeout`` seconds (0 to 3600; ``None``: as long as the
        system's ``dispatch_timeout_s``). From any thread, once the plugin is ready. The time counts as the handler's.

        Raises :class:`DependencyUndeclared`, :class:`DependencyMissing`, :class:`PermissionDenied` (it needs
        ``inter_plugin``), and what an application's ``dispatch`` raises: :class:`DispatchTimeout`,
        :class:`PluginFailed`, :class:`PluginNotLoaded`...; TypeError and ValueError for arguments that can't be sent.
        """
        self._correspond().send(plugin, data, frame_type, flags, timeout)

    def request(
        self,
        plugin: str | int,
        data: bytes,
        *,
        frame_type: int = DATA_FRAME,
        flags: int = 0,
        timeout: float | None = None,
    ) -> bytes | None:
        """Send a frame as :meth:`send` does, and return the reply of that plugin's handler (``None`` if it gave none).

        Raises what :meth:`send` raises, and :class:`PluginFailed` when there is an outcome but no reply to be had.
        """
        return self._correspond().request(plugin, data, frame_type, flags, timeout)

    def connect(self, host: str, port: int, timeout: float = 10.0) -> socket:
        """Connect to a host that the policy's ``network`` allows; the socket has this ``timeout`` (0.001 to 3600 s).

        From any thread. The time that it takes counts as the handler's. Raises :class:`SandboxViolation` when the
        policy denies it, else what :func:`socket.create_connection` raises.
        """
        return self._reach().connect(host, port, timeout)

    def open(self, path: str | PathLike[str], mode: str = "rb", encoding: str | None = None) -> IO[Any]:
        """Open a regular file below the policy's read or write paths, as the builtin :func:`open` does.

        From any thread. Raises :class:`SandboxViolation` when the policy denies it, else what :func:`open` raises.
        """
        return self._reach().open(path, mode, encoding)

    @property
    def http(self) -> Http:
        """Requests over HTTP and HTTPS to hosts that the policy's ``network`` allows: ``ctx.http.get(url).body``."""
        return self._reach().http

    def _correspond(self) -> Peers:
        with self._making:
            if self._peers is None:
                if self._make_peers is None:
                    raise RuntimeError("this context reaches no other plugin: it was made without a runtime")
                self._peers = self._make_peers()
            return self._peers

    def _reach(self) -> Outside:
        with self._making:
            if self._outside is None:
                if self._make_outside is None:
                    raise RuntimeError("this context leads nowhere: it was made without a runtime")
                self._outside = self._make_outside()
            return self._outside


class Plugin:
    """Base of every plugin; override what you need.

    One instance serves one worker, on one thread, one frame after the other. A handler's bytes are the reply to
    the frame, ``None`` is no reply; an exception fails this frame only, but for :class:`SystemExit` and
    :class:`KeyboardInterrupt`, which end the worker. Handlers are looked up once, after :meth:`on_load`.
    """

    ctx: Context
    """Set before :meth:`on_load` is called."""

    on_batch: ClassVar[Callable[..., Sequence[bytes | None]] | None] = None
    """Define ``on_batch(self, frames)`` to get each run of consecutive data frames as one sequence, in place of
    :meth:`on_data`; it returns one reply or ``None`` per frame, and raising fails the whole run."""

    snapshot_version: ClassVar[int] = 1
    """The version of what :meth:`snapshot` returns, 0 to 2**32 - 1: raise it when the form of the state changes."""

    def on_load(self, ctx: Context) -> None:
        """Get ready; raising refuses the load."""

    def on_ready(self) -> None:
        """Check that all is well: called before the first frame, and after :meth:`restore` if that is called.

        Raising refuses the load, or, when this is to take another version's place, leaves that in its place.
        """

    def on_handshake(self, frame: Frame) -> bytes | None:
        """Handle a handshake frame (0x51)."""
        return None

    def on_data(self, frame: Frame) -> bytes | None:
        """Handle a data frame (0x52)."""
        return None

    def on_control(self, frame: Frame) -> bytes | None:
        """Handle a control frame (0x53)."""
        return None

    def on_error(self, frame: Frame) -> bytes | None:
        """Handle an error frame (0x54)."""
        return None

    def on_frame(self, frame: Frame) -> bytes | None:
        """Handle a frame of a type that the configuration of the system names (0x50, 0x55 to 0x5F)."""
        return None

    def snapshot(self) -> object:
        """Return the state that the next version shall go on with, as plain values for CBOR; ``None`` is none.

        Called between two frames. Let go of nothing yet: this instance goes on if the next version does not start.
        :meth:`on_unload` is called once that has taken over.
        """
        return None

    def restore(self, state: Any, version: int) -> None:
        """Go on with what another instance's :meth:`snapshot` returned, whose ``snapshot_version`` was ``version``.

        Called after :meth:`on_load` of the new instance. Raising leaves the other one in its place.
        """
        raise NotImplementedError(f"there is state of version {version}, and this plugin has no restore()")

    def on_unload(self) -> None:
        """Let go of everything; no frame comes after this."""


def plain_int(value: object, lowest: int, highest: int, what: str) -> int:
    """Return an integer of any kind (an enumeration's, numpy's) as an ``int``, which is all that travels.

    Raises :class:`TypeError` for what is no integer, a bool included, and :class:`ValueError` out of bounds.
    """
    try:
        plain = None if isinstance(value, bool) else index(value)  # type: ignore[arg-type]  # it may be anything
    except TypeError:
        plain = None
    if plain is None:
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    if not lowest <= plain <= highest:
        raise ValueError(f"{what} {plain:#x} is not in {lowest:#x} to {highest:#x}")
    return int(plain)


def plain_bytes(data: bytes | bytearray | memoryview) -> bytes:
    """Return a copy as ``bytes`` and no subclass, whose methods could say anything; raises for a released view."""
    return data if type(data) is bytes else bytes(memoryview(data))


def _traceback(exc_info: object) -> str:
    """The traceback of an exception, of one as ``sys.exc_info()`` has it, or of the one being handled."""
    import sys

    error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else exc_info
    found = error if isinstance(error, BaseException) else sys.exc_info()[1]
    return traceback_of(found) if found else "NoneType: None"


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception, or, where its own parts prevent that, what it is."""
    import traceback

    try:
        return "".join(traceback.format_exception(error)).rstrip()
    except BaseException as fault:
        from .worker.protocol import describe

        return f"{': '.join(describe(error))} (its traceback can't be had: {describe(fault)[0]})"


def _filled(msg: object, args: tuple[object, ...]) -> str:
    text = str(msg)
    if not args:
        return text
    try:
        return text % args
    except (TypeError, ValueError):
        return f"{text} {args!r}"
