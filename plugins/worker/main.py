"""The worker's main loop: takes batches from the host, runs them, answers; ends when the host is gone."""

from __future__ import annotations

import os
import sys
from _thread import stack_size, start_new_thread
from mmap import mmap
from select import poll

from ..sdk import Context, traceback_of
from . import protocol
from .batch import Batch
from .ending import ending
from .inbox import Inbox
from .jail import put_on
from .outbox import Outbox
from .refusals import Refusals
from .runner import Runner, load_plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

    from .batch import Item
    from .line import Line
    from .outside import Outside
    from .peers import Peers

_WATCH_STACK_BYTES = 65_536


class Worker:
    """One plugin's process: reads messages from the socket ``fd`` and marks in ``page`` which frames it has in hand."""

    def __init__(self, fd: int, page: memoryview) -> None:
        self._fd = fd
        self._page = page
        self._inbox = Inbox(fd)
        self._outbox = Outbox(fd)
        self._runner: Runner | None = None
        self._asking: Line | None = None
        self._standby = False
        self._max_snapshot_bytes = 0
        self._describe: Callable[[BaseException], list[str]] = protocol.describe

    def run(self) -> NoReturn:
        """Serve until STOP, the end of the socket, or what a plugin raises to end its process; never returns."""
        try:
            self._serve()
        except BaseException as error:
            status, reason = ending(error)
            if reason:
                self._outbox.send([protocol.ENDING, reason])
                _print(reason if isinstance(error, SystemExit) else traceback_of(error))
        self._outbox.flush()
        _end(status)

    def _serve(self) -> NoReturn:
        while True:
            self._handle(self._inbox.next())

    def _handle(self, message: Sequence[Any]) -> None:
        kind = message[0]
        if kind == protocol.BATCH and self._runner is not None and not self._standby:
            self._run_batch(self._runner, message[1], Batch.of_message(*message[2:]))
        elif kind == protocol.START and self._runner is None:
            self._start(message[1])
        elif kind == protocol.STOP:
            self._stop()
        elif kind == protocol.SNAPSHOT and self._runner is not None and not self._standby:
            self._snapshot(self._runner)
        elif kind == protocol.RESTORE and self._runner is not None and self._standby:
            self._take_over(self._runner, message[1], message[2])
        else:
            raise protocol.ProtocolError(f"message of kind {kind} is out of place")

    def _start(self, fields: Mapping[str, Any]) -> None:
        try:
            self._runner = self._load(fields)
        except BaseException as error:
            self._outbox.log(40, traceback_of(error))
            self._outbox.send([protocol.START_FAILED, *self._describe(error)])
            _end(1)
        self._outbox.send([protocol.READY])

    def _load(self, fields: Mapping[str, Any]) -> Runner:
        put_on(fields["jail"])
        if fields["policy"]:
            refusals = Refusals(fields["policy"])
            refusals.watch()
            self._describe = refusals.describe
        _watch_host(self._fd)
        max_reply_bytes = fields["max_reply_bytes"]
        ctx = Context(
            fields["plugin_id"],
            fields["name"],
            fields["config"],
            emit=self._outbox.emit,
            log=self._outbox.log,
            max_emit_bytes=max_reply_bytes,
            scratch=fields["scratch"],
            outside=lambda: self._outside(fields["plugin_id"]),
            peers=lambda: self._peers(max_reply_bytes),
        )
        self._standby, self._max_snapshot_bytes = fields["standby"], fields["max_snapshot_bytes"]
        plugin = load_plugin(fields["bundle"], fields["entry_point"], ctx, standby=self._standby)
        return Runner(plugin, max_reply_bytes, self._describe)

    def _outside(self, plugin_id: int) -> Outside:
        from .outside import Outside, descriptor_of

        ask = self._line().ask
        return Outside(plugin_id, lambda *fields: descriptor_of(ask(*fields)))

    def _peers(self, max_data_bytes: int) -> Peers:
        from .peers import Peers

        ask = self._line().ask
        return Peers(lambda *fields: ask(*fields)[0], max_data_bytes)

    def _line(self) -> Line:
        """The one way to ask, for all threads; whoever makes it holds the context's lock."""
        if self._asking is None:
            from .line import Line

            self._asking = Line(self._inbox, self._outbox)
        return self._asking

    def _run_batch(self, runner: Runner, first_index: int, items: Batch) -> None:
        self._outbox.begin(first_index)
        if runner.takes_batches:
            self._run_in_runs(runner, first_index, list(items))
        else:
            self._run_singly(runner, first_index, items)
        self._outbox.flush()

    def _run_singly(self, runner: Runner, first_index: int, items: Batch) -> None:
        page, run, add = self._page, runner.run, self._outbox.add
        page[1] = 1
        for index, (frame_type, header) in enumerate(items, first_index):
            page[0] = index
            add(run(frame_type, header))

    def _run_in_runs(self, runner: Runner, first_index: int, items: Sequence[Item]) -> None:
        start = 0
        while start < len(items):
            count = runner.run_length(items, start)
            self._page[0], self._page[1] = first_index + start, count or 1
            if count:
                for result in runner.run_batch(items[start : start + count]):
                    self._outbox.add(result)
            else:
                self._outbox.add(runner.run(*items[start]))
            start += count or 1

    # Taking another worker's place, or giving it up.

    def _snapshot(self, runner: Runner) -> None:
        taken = runner.snapshot(self._max_snapshot_bytes)
        if isinstance(taken, list):
            self._swap_failed("snapshot", *taken)
            return
        version, state = taken or (None, b"")
        for start in range(0, len(state), protocol.FLUSH_BYTES):
            self._outbox.send([protocol.SNAPSHOT_PART, state[start : start + protocol.FLUSH_BYTES]])
        self._outbox.send([protocol.SNAPSHOT_DONE, version])

    def _take_over(self, runner: Runner, version: int, state: bytes | None) -> None:
        failed = runner.take_over(version, state, lambda: self._outbox.send([protocol.STATE_TAKEN]))
        if failed is not None:
            self._swap_failed(*failed)
            return
        self._standby = False
        self._outbox.send([protocol.RESTORED])

    def _swap_failed(self, step: str, error_type: str, text: str) -> None:
        self._outbox.log(40, f"{step} failed: {error_type}: {text}")
        self._outbox.send([protocol.SWAP_FAILED, step, error_type, text])

    def _stop(self) -> NoReturn:
        error = None if self._runner is None else self._runner.unload()
        _flush_output()
        self._outbox.send([protocol.STOPPED, error])
        _end(0)


def main(fd: int, page_fd: int) -> NoReturn:
    """Run a worker on the inherited descriptors: the socket, and the page, which is closed once it is mapped."""
    # Until the jail is on: the host decides when a worker ends, not a Ctrl-C that its whole terminal gets.
    from _signal import SIG_IGN, SIGINT, signal  # type: ignore[import-not-found]  # signal itself imports enum

    signal(SIGINT, SIG_IGN)
    name_process("nyx-worker")
    os.set_inheritable(fd, False)
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a pipe: would lose a crash's last lines
    Worker(fd, _mapped(page_fd)).run()


def name_process(name: str) -> None:
    """Show this process as ``name`` in ``ps``; what can't be done is left."""
    try:
        fd = os.open("/proc/self/comm", os.O_WRONLY)
    except OSError:
        return
    os.write(fd, name.encode())
    os.close(fd)


def _mapped(fd: int) -> memoryview:
    """Map the page as two native u64; a store of one is a single instruction, so a kill can't tear it."""
    page = _untracked(fd)
    os.close(fd)
    return memoryview(page).cast("Q")


def _untracked(fd: int) -> mmap:
    """Map ``fd`` without the duplicate that mmap keeps for ``resize()``: with it, a plugin could cut the page off."""
    if sys.version_info >= (3, 13):
        return mmap(fd, protocol.PAGE_BYTES, trackfd=False)
    duplicate = os.dup(fd)
    os.close(duplicate)
    page = mmap(fd, protocol.PAGE_BYTES)
    # Nothing else runs yet: mmap got the number that was free a moment ago.
    os.close(duplicate)
    return page


def _watch_host(fd: int) -> None:
    """End this process when the host's end of the socket is gone, even while a handler is running."""
    previous = stack_size(_WATCH_STACK_BYTES)
    start_new_thread(_end_with_host, (fd,))
    stack_size(previous)


def _end_with_host(fd: int) -> None:
    hangup = poll()
    hangup.register(fd, 0)
    hangup.poll()
    os._exit(0)


def _end(status: int) -> NoReturn:
    """End at once, whatever threads a plugin left behind."""
    _flush_output()
    os._exit(status)


def _print(text: str) -> None:
    # The streams may be the plugin's own, and raise anything: the end of the process is not theirs to prevent.
    try:
        print(text, file=sys.stderr)
    except BaseException:
        return


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue
