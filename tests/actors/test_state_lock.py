"""The lock on a state directory: within a process, between processes, and after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyx_plugins.actors import state_lock
from nyx_plugins.actors.state_lock import FILE, StateLock
from nyx_plugins.config.errors import StartupError

HOLDER = """
import sys
import warnings
from nyx_plugins.actors.state_lock import StateLock
lock = StateLock(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nobody."""
    monkeypatch.setattr(state_lock, "WAIT_S", 0.0)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return another process, which holds the directory until its standard input ends."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_two_of_one_process(tmp_path: Path) -> None:
    """The second is refused at once, and does not take the first one's lock away; then it is free again."""
    first = StateLock(str(tmp_path))
    with pytest.raises(StartupError, match=rf"state directory {tmp_path} is in use .*\(process {os.getpid()}\)"):
        StateLock(str(tmp_path))
    first.release()
    second = StateLock(str(tmp_path))
    first.release()
    with pytest.raises(StartupError):
        StateLock(str(tmp_path))
    second.release()


def test_another_process_is_named(tmp_path: Path, holder: subprocess.Popen[bytes], impatient: None) -> None:
    """Its process id stands in the file; a refusal leaves nothing that would refuse the next."""
    for _ in range(2):
        with pytest.raises(StartupError, match=rf"\(process {holder.pid}\)"):
            StateLock(str(tmp_path))
    assert (tmp_path / FILE).read_text() == str(holder.pid)


def test_the_end_of_another_process_is_waited_for(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    """Whoever comes while another ends gets the directory as soon as that one is gone."""
    lock = StateLock(str(tmp_path), holder.kill)
    assert holder.wait(30.0) < 0
    assert (tmp_path / FILE).read_text() == str(os.getpid())
    lock.release()


def test_waiting_ends_when_nobody_wants_it_any_more(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    """What ``wanted`` raises is raised, and the other one keeps its lock."""

    def unwanted() -> None:
        raise StartupError("the application ended")

    for _ in range(2):
        with pytest.raises(StartupError, match="the application ended"):
            StateLock(str(tmp_path), unwanted)


def test_a_file_that_can_not_be_locked_is_named(tmp_path: Path) -> None:
    """A folder in its place is told in one sentence, and a link is not followed."""
    (tmp_path / FILE).mkdir()
    with pytest.raises(StartupError, match=rf"{tmp_path} can't be locked: system\.lock: Is a directory"):
        StateLock(str(tmp_path))
    (tmp_path / FILE).rmdir()
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartupError, match=r"can't be locked: system\.lock: "):
        StateLock(str(tmp_path))
    assert not (tmp_path / "elsewhere").exists()


def test_a_forked_process_has_neither_the_lock_nor_the_file(tmp_path: Path, impatient: None) -> None:
    """It is refused like any other, its end frees nothing, and the file is open in one process only."""
    lock = StateLock(str(tmp_path))
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads; there is nothing here that they could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(_tried_in_a_fork(tmp_path, lock))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdin=-1, stdout=-1) as other:
        lock.release()
        assert other.communicate()[0] == b"held\n"


def _tried_in_a_fork(directory: Path, lock: StateLock) -> int:
    opened = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    lock.release()
    try:
        StateLock(str(directory))
    except StartupError as error:
        return int(str(os.getppid()) not in str(error) or str(directory / FILE) in opened)
    return 2
