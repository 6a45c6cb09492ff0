"""The journal: what was synced is there, a torn tail is taken for nothing, and what can't be written is refused."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors import journal as module
from nyx_plugins.actors.journal import HEAD_BYTES, Journal, private_folder, scan, set_aside
from nyx_plugins.plugins.errors import JournalCorrupt, JournalFailed

RECORDS = [b"", b"one", b"eight by", bytes(100), b"a last one that is longer" * 3]


class Killed(BaseException):
    """Stands for kill -9: nothing catches it, and what was open is closed."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test lies."""
    return tmp_path / "a.journal"


def written(path: Path, *batches: list[bytes], sync: bool = True) -> bytes:
    """What a file holds that these batches were written to."""
    journal = Journal.create(path)
    for batch in batches:
        journal.append(batch)
        if sync:
            journal.sync()
    journal.close()
    return path.read_bytes()


def read(path: Path) -> list[bytes]:
    """What a journal holds when it is opened."""
    journal, payloads = Journal.open(path)
    journal.close()
    return payloads


@given(st.lists(st.lists(st.binary(max_size=50), max_size=5), max_size=5))
def test_it_holds_what_was_written(tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]]) -> None:
    """Records come back in the order in which they were written, whatever they hold, and new ones follow them."""
    path = tmp_path_factory.mktemp("journal") / "a"
    written(path, *batches)
    everything = [payload for batch in batches for payload in batch]
    journal, payloads = Journal.open(path)
    assert payloads == everything
    journal.append([b"more"])
    assert journal.size == path.stat().st_size
    journal.close()
    assert read(path) == [*everything, b"more"]


def test_it_is_for_its_owner_only(tmp_path: Path) -> None:
    """The file has mode 0600 and its folder 0700, also after it was replaced."""
    folder = tmp_path / "letters"
    assert private_folder(folder) == private_folder(folder) == str(folder)
    journal = Journal.create(folder / "a")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o600
    journal.rewrite([b"x"])
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o600
    journal.close()


def test_truncated_at_every_byte(path: Path) -> None:
    """Cut short anywhere, it holds the records before the cut, and goes on behind them; a cut head is corrupt."""
    data = written(path, *([record] for record in RECORDS))
    for length in range(len(data)):
        path.write_bytes(data[:length])
        if length < HEAD_BYTES:
            with pytest.raises(JournalCorrupt, match="does not begin like a journal"):
                Journal.open(path)
            continue
        journal, payloads = Journal.open(path)
        assert payloads == RECORDS[: len(payloads)]
        assert len(payloads) < len(RECORDS)
        journal.append([b"after"])
        journal.close()
        assert read(path) == [*payloads, b"after"]


def test_a_changed_byte_is_never_taken_for_a_record(path: Path) -> None:
    """Whichever byte changes, what is read is what was written, up to the damage, which is said if it was synced."""
    data = written(path, *([record] for record in RECORDS))
    last = len(data) - 16 - len(RECORDS[-1]) - 5
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 0xA5]) + data[at + 1 :]
        try:
            payloads = scan("a", changed).payloads
        except JournalCorrupt:
            assert at < last
        else:
            assert payloads == RECORDS[: len(payloads)]
            assert len(payloads) < len(RECORDS)


def test_damage_in_what_was_synced_is_no_torn_tail(path: Path) -> None:
    """A bad record before one that was written after the bad one was synced makes the file corrupt."""
    data = written(path, [b"first"], [b"second"], [b"third"])
    path.write_bytes(data.replace(b"second", b"sec0nd"))
    with pytest.raises(JournalCorrupt, match=f"the record at byte {HEAD_BYTES + 24} is damaged, and was synced, as"):
        Journal.open(path)


def test_pages_that_never_reached_the_disk_are_a_torn_tail(path: Path) -> None:
    """Before anything was synced, zeros in front of a good record are no corruption: nobody was told of either."""
    data = written(path, [b"first"], [b"second"], [b"third"], sync=False)
    at = data.index(b"second") - 16
    path.write_bytes(data[:at] + bytes(24) + data[at + 24 :])
    assert read(path) == [b"first"]


def test_what_is_cut_off_is_said_once(path: Path) -> None:
    """Who opens a file with a torn tail is told how much it was; who opens a whole one has nothing to say."""
    data = written(path, [b"first"], [b"second"])
    path.write_bytes(data[:-3])
    losses = []
    for _ in range(2):
        journal, _ = Journal.open(path)
        journal.close()
        losses.append(journal.loss)
    assert f"the last 21 bytes of journal {path} are no whole record, and were cut off" in losses[0]
    assert losses[1] == ""


@given(garbage=st.binary(max_size=200))
def test_garbage_behind_the_last_record_is_cut(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    """Whatever the tail holds, no record comes of it."""
    path = tmp_path_factory.mktemp("journal") / "a"
    data = written(path, [b"first"])
    path.write_bytes(data + garbage)
    assert read(path) == [b"first"]
    assert path.read_bytes() == data


def test_records_of_another_file_or_place_are_none(path: Path) -> None:
    """A record that an older file left on the disk, even at the same place, does not count."""
    older = written(path, [b"first"], [b"second"])
    newer = written(path, [b"first"])
    path.write_bytes(newer + older[len(newer) :])
    assert read(path) == [b"first"]
    path.write_bytes(newer + newer[HEAD_BYTES:])
    assert read(path) == [b"first"]


def test_rewriting_replaces_all_at_once(path: Path) -> None:
    """After a rewrite there are the new records only, and it goes on behind them."""
    journal = Journal.create(path, [b"old", b"older"])
    journal.rewrite([b"new"])
    journal.append([b"newer"])
    journal.close()
    assert read(path) == [b"new", b"newer"]


# Kills: each call of the system may be the last, a write in part.


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that has the writer killed at its n-th call of the system from now on."""
    calls = 0

    def arm(name: str, last: int) -> None:
        original = getattr(os, name)

        def counted(*args: object) -> object:
            nonlocal calls
            calls += 1
            if calls == last:
                if name == "pwrite":
                    descriptor, data, at = args
                    original(descriptor, bytes(data)[: len(data) // 2], at)  # type: ignore[call-overload]
                raise Killed
            return original(*args)

        monkeypatch.setattr(module.os, name, counted)

    def at(last: int) -> None:
        nonlocal calls
        calls = 0
        monkeypatch.undo()
        for name in ("pwrite", "fdatasync", "fsync", "replace", "ftruncate", "unlink"):
            arm(name, last)

    return at


def _write_some(path: Path) -> None:
    journal, _ = Journal.open(path)
    journal.append([b"d", b"e"])
    journal.sync()
    journal.rewrite([b"c", b"d", b"e"])
    journal.append([b"f"])
    journal.close()


def test_killed_at_any_call(path: Path, kill_at: Callable[[int], None]) -> None:
    """Wherever the writer is killed, there is what was there before its last step, or after it."""
    states = [[b"a", b"b", b"c", b"d", b"e"][:n] for n in (3, 4, 5)] + [[b"c", b"d", b"e"], [b"c", b"d", b"e", b"f"]]
    killed = 0
    for last in range(1, 30):
        written(path, [b"a", b"b", b"c"])
        kill_at(last)
        try:
            _write_some(path)
        except Killed:
            killed += 1
        kill_at(0)
        assert read(path) in states
    assert 5 < killed < 29


def test_killed_for_real(path: Path) -> None:
    """After kill -9 of a process that writes all the time, a whole number of records is there."""
    for _ in range(5):
        Journal.create(path).close()
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            _write_until_killed(path, tell)
        os.close(tell)
        os.read(told, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(told)
        payloads = read(path)
        assert payloads == [n.to_bytes(4, "big") * 500 for n in range(len(payloads))]
        assert len(payloads) >= 20


def _write_until_killed(path: Path, tell: int) -> None:
    try:
        journal, _ = Journal.open(path, durable=False)
        for n in range(1_000_000):
            journal.append([n.to_bytes(4, "big") * 500])
            if n == 20:
                os.write(tell, b"x")
    finally:
        os._exit(1)


# What can't be written.


@pytest.fixture
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """Return a function that limits how large files may become."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_finds_no_room_is_not_there(path: Path, file_size_limit: Callable[[int], None]) -> None:
    """A write that could be done in part only is refused, leaves nothing, and the next that fits is taken."""
    journal = Journal.create(path)
    file_size_limit(1000)
    with pytest.raises(JournalFailed, match="File too large; make room there") as caught:
        journal.append([bytes(500), bytes(600)])
    assert caught.value.path == str(path)
    with pytest.raises(JournalFailed):
        journal.rewrite([bytes(2000)])
    journal.append([b"fits"])
    journal.close()
    assert read(path) == [b"fits"]
    assert os.listdir(path.parent) == [path.name]


def test_what_could_not_be_cut_off_stops_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where half a write can't be taken back, nothing more is written, until all is written anew."""
    journal = Journal.create(path, [b"a"])

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "pwrite", fail)
        patch.setattr(module.os, "ftruncate", fail)
        with pytest.raises(JournalFailed, match="No space left on device"):
            journal.append([b"b"])
    for attempt in (lambda: journal.append([b"b"]), journal.sync):
        with pytest.raises(JournalFailed, match="what was written in part could not be cut off"):
            attempt()
    journal.rewrite([b"a", b"b"])
    journal.append([b"c"])
    journal.close()
    assert read(path) == [b"a", b"b", b"c"]


def test_a_write_of_nothing_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that takes no byte and reports no error does not hold up the writer for ever."""
    journal = Journal.create(path)
    monkeypatch.setattr(module.os, "pwrite", lambda *_: 0)
    with pytest.raises(JournalFailed, match="Input/output error"):
        journal.append([b"b"])
    journal.close()


def test_a_failed_sync_is_not_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failed sync was for may be lost even if the next one succeeds: only a rewrite mends it."""
    journal = Journal.create(path)
    journal.append([b"a"])

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fdatasync", fail)
        with pytest.raises(JournalFailed, match="could not be synced: Input/output error"):
            journal.sync()
    with pytest.raises(JournalFailed, match="could not be synced"):
        journal.sync()
    with pytest.raises(JournalFailed, match="could not be synced"):
        journal.append([b"b"])
    journal.rewrite([b"a"])
    journal.sync()
    journal.close()


def test_syncs_only_what_is_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sync serves all that was appended before it; none is made for nothing, or where none is wanted."""
    syncs: list[int] = []
    monkeypatch.setattr(module.os, "fdatasync", syncs.append)
    journal = Journal.create(path)
    journal.append([b"a"] * 100)
    journal.append([b"b"])
    journal.sync()
    journal.sync()
    assert len(syncs) == 1
    journal.close()
    journal.close()
    volatile = Journal.create(path, durable=False)
    volatile.append([b"c"])
    volatile.sync()
    volatile.close()
    assert len(syncs) == 1


def test_where_none_can_be(tmp_path: Path, path: Path) -> None:
    """A folder that is a file, a missing folder, a link in place of the file: each is an error that names it."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalFailed, match="it is no folder"):
        private_folder(tmp_path / "file")
    with pytest.raises(JournalFailed, match="No such file or directory"):
        private_folder(tmp_path / "none" / "deeper")
    with pytest.raises(JournalFailed, match="No such file or directory"):
        Journal.create(tmp_path / "none" / "a")
    with pytest.raises(JournalFailed, match="it can't be set aside: No such file"):
        set_aside(path)
    path.symlink_to(tmp_path / "file")
    with pytest.raises(JournalFailed, match="Too many levels of symbolic links"):
        Journal.open(path)
    with pytest.raises(JournalFailed, match="can't be used"):
        Journal.open(tmp_path)


def test_nobody_waits_for_what_is_no_file(path: Path) -> None:
    """A pipe or a device in the place of a journal is refused by name, at once."""
    os.mkfifo(path)
    with pytest.raises(JournalFailed, match=f"{path}.*it is no regular file"):
        Journal.open(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(JournalFailed):
        Journal.open(path)


def test_set_aside(path: Path) -> None:
    """A file that can't be used is kept under a name of its own, also where there was one in the same second."""
    contents = [b"first", b"second", b"third"]
    kept = []
    for content in contents:
        path.write_bytes(content)
        kept.append(Path(set_aside(path)))
    assert all(name.name.startswith(f"{path.name}.corrupt-2") for name in kept)
    assert [name.read_bytes() for name in kept] == contents
    assert not path.exists()
