"""Loads a plugin and runs its handlers; no input or output, so that a worker and an in-process transport share it."""

from __future__ import annotations

import sys

from ..errors import InvalidFrameType
from ..header import canonical_lead, split_header
from ..sdk import DATA_FRAME, OWN_FRAMES, Frame, Plugin, plain_bytes
from .ending import ENDS
from .protocol import MAX_RUN, clip, describe, type_name
from .state import restore, taken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..sdk import Context
    from .protocol import Result
    from .state import State

    Item = Sequence[Any]
    """A frame as it travels: ``[frame_type, header_bytes]``."""

# The host has applied its own limit, which is configurable; a worker only reads what it was sent.
_ANY_LENGTH = 1 << 32


class Runner:
    """Runs frames through one plugin. What a handler raises does not leave it, unless it is one of ``ENDS``."""

    def __init__(
        self, plugin: Plugin, max_reply_bytes: int, describe: Callable[[BaseException], list[str]] = describe
    ) -> None:
        self._plugin = plugin
        self._describe = describe
        self._max_reply_bytes = max_reply_bytes
        self._on_batch = plugin.on_batch
        self._like = -1, b"", 0
        self._handlers: dict[int, Callable[[Frame], bytes | None]] = {
            0x51: plugin.on_handshake,
            DATA_FRAME: plugin.on_data,
            0x53: plugin.on_control,
            0x54: plugin.on_error,
            **dict.fromkeys(OWN_FRAMES, plugin.on_frame),
        }

    def run(self, frame_type: int, header: bytes) -> Result:
        """Run one frame; returns the reply, ``None`` for no reply, or ``[error_type, text]``."""
        try:
            flags, data = self._split(header)
            handler = self._handlers.get(frame_type)
            if handler is None:
                raise InvalidFrameType(frame_type)
            reply = handler(Frame(frame_type, flags, data))
            return None if reply is None else self._checked(reply)
        except ENDS:
            raise
        except BaseException as error:
            return self._describe(error)

    def _split(self, header: bytes) -> tuple[int, bytes]:
        """Return flags and data; most headers are like the one before, but for their data."""
        size, lead, flags = self._like
        if len(header) == size and header.startswith(lead):
            return flags, header[len(lead) :]
        found = canonical_lead(header)
        if found is None:
            return split_header(header, _ANY_LENGTH)[1:]
        _, flags, at = found
        self._like = len(header), header[:at], flags
        return flags, header[at:]

    @property
    def takes_batches(self) -> bool:
        """Whether the plugin defines ``on_batch``."""
        return self._on_batch is not None

    def run_length(self, items: Sequence[Item], start: int) -> int:
        """Return how many of ``items`` from ``start`` on are for :meth:`run_batch`; 0 means that :meth:`run` is due."""
        if self._on_batch is None:
            return 0
        end, last = start, min(len(items), start + MAX_RUN)
        while end < last and items[end][0] == DATA_FRAME:
            end += 1
        return end - start

    def run_batch(self, items: Sequence[Item]) -> list[Result]:
        """Run a run of data frames through ``on_batch``; one result for each, in order."""
        results: list[Result] = [None] * len(items)
        frames, places = [], []
        for place, (frame_type, header) in enumerate(items):
            try:
                flags, data = self._split(header)
            except Exception as error:
                results[place] = self._describe(error)
            else:
                frames.append(Frame(frame_type, flags, data))
                places.append(place)
        for place, reply in zip(places, self._batch_replies(frames), strict=True):
            results[place] = reply
        return results

    def unload(self) -> str | None:
        """Call ``on_unload``; returns what it raised, as text."""
        try:
            self._plugin.on_unload()
        except ENDS:
            raise
        except BaseException as error:
            return ": ".join(self._describe(error))
        return None

    def snapshot(self, max_bytes: int) -> State | list[str] | None:
        """Return the plugin's state as (version, CBOR), or ``[error_type, text]`` of what prevents it."""
        try:
            return taken(self._plugin, max_bytes)
        except ENDS:
            raise
        except BaseException as error:
            return self._describe(error)

    def take_over(
        self, version: int, state: bytes | None, state_taken: Callable[[], None] = lambda: None
    ) -> list[str] | None:
        """Call ``restore`` if there is state, and ``on_ready``; returns ``[step, error_type, text]`` of what raised.

        In between, ``state_taken`` is called.
        """
        step = "restore"
        try:
            if state is not None:
                restore(self._plugin, version, state)
            step = "on_ready"
            state_taken()
            self._plugin.on_ready()
        except ENDS:
            raise
        except BaseException as error:
            return [step, *self._describe(error)]
        return None

    def _batch_replies(self, frames: list[Frame]) -> list[Result]:
        if not frames or self._on_batch is None:
            return []
        # The list is the plugin's from now on: it may take frames out of it.
        count = len(frames)
        try:
            replies = list(self._on_batch(frames))
            if len(replies) != count:
                raise ValueError(f"on_batch returned {len(replies)} replies for {count} frames")
        except ENDS:
            raise
        except BaseException as error:
            return [self._describe(error)] * count
        return [None if reply is None else self._result(reply) for reply in replies]

    def _result(self, reply: object) -> Result:
        """Check one reply of several: one that is none fails its own frame."""
        try:
            return self._checked(reply)
        except ENDS:
            raise
        except BaseException as error:
            return self._describe(error)

    def _checked(self, reply: object) -> Result:
        """Raise what a reply raises that can't be copied, such as a view that is released."""
        if not isinstance(reply, (bytes, bytearray, memoryview)):
            return ["TypeError", clip(f"handler returned {type_name(reply)}: expected bytes or None")]
        data = plain_bytes(reply)
        if len(data) > self._max_reply_bytes:
            return ["ReplyTooLarge", f"reply of {len(data):,} bytes: the limit is {self._max_reply_bytes:,}"]
        return data


def load_plugin(
    bundle_dir: str, entry_point: str, ctx: Context, *, private: bool = False, standby: bool = False
) -> Plugin:
    """Import ``"module:Class"`` from ``bundle_dir``, make an instance, call its ``on_load`` and then its ``on_ready``.

    With ``standby`` it has to be called later, by :meth:`Runner.take_over`.

    With ``private`` the bundle's modules are forgotten again, so that several bundles can have modules of the same
    name in one process; a bundle can then import its own modules only while it loads.
    Raises :class:`ImportError` or :class:`TypeError` when the entry point is not a plugin, else what the bundle raises.
    """
    known = set(sys.modules)
    sys.path.insert(0, bundle_dir)
    # A cache of compiled code would change the bundle's copy.
    dont_write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        plugin = _plugin_class(entry_point)()
        plugin.ctx = ctx
        plugin.on_load(ctx)
        if not standby:
            plugin.on_ready()
    finally:
        sys.dont_write_bytecode = dont_write
        if private:
            _forget(bundle_dir, known)
    return plugin


def _plugin_class(entry_point: str) -> type[Plugin]:
    module_name, _, class_name = entry_point.partition(":")
    if not (module_name and class_name):
        raise ImportError(f"entry point {entry_point!r} is not of the form 'module:Class'")
    try:
        __import__(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise ImportError(f"entry point {entry_point!r}: there is no module {module_name!r} in the bundle") from None
    found = getattr(sys.modules[module_name], class_name, None)
    if found is None:
        raise ImportError(f"entry point {entry_point!r}: module {module_name!r} has no {class_name!r}")
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise TypeError(f"entry point {entry_point!r} is not a subclass of nyx_plugins.plugins.Plugin")
    return found


def _forget(bundle_dir: str, known: set[str]) -> None:
    sys.path.remove(bundle_dir)
    sys.path_importer_cache.pop(bundle_dir, None)
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(bundle_dir.rstrip("/") + "/"):
            del sys.modules[name]
