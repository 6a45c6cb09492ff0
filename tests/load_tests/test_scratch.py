"""What a run needs for a while, and what it may tell: folders that go with it, and texts without places."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nyx_plugins.load_tests.anonymous import anonymous
from nyx_plugins.load_tests.scratch import LOCK, scratch, sweep

HOLDER = """
import sys
from pathlib import Path
from nyx_plugins.load_tests.scratch import scratch
with scratch("mine-", Path(sys.argv[1])) as folder:
    (folder / "data").mkdir()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_there_for_as_long_as_it_is_needed(tmp_path: Path) -> None:
    """Whatever is in it goes with it, and nobody takes it for one that was left meanwhile."""
    with scratch("mine-", tmp_path) as folder:
        (folder / "file").write_text("x")
        assert sweep("mine-", tmp_path) == [] and (folder / "file").exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Not before it is dead."""
    command = [sys.executable, "-P", "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        assert sweep("mine-", tmp_path) == [] and folder.is_dir()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert folder.is_dir()
    with scratch("mine-", tmp_path) as mine:
        assert list(tmp_path.iterdir()) == [mine]


def test_what_is_nobodys_own_is_left_alone(tmp_path: Path) -> None:
    """Folders without the file, files, links, and folders with another name or of another user."""
    (tmp_path / "mine-without").mkdir()
    (tmp_path / "mine-file").write_text("x")
    for name in ("elsewhere", "other-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / LOCK).touch()
    (tmp_path / "mine-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine-locked").mkdir()
    (tmp_path / "mine-locked" / LOCK).symlink_to(tmp_path / "other-1" / LOCK)
    before = sorted(tmp_path.rglob("*"))
    assert sweep("mine-", tmp_path) == [] and sorted(tmp_path.rglob("*")) == before


def test_what_another_user_has_left_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where we might remove it."""
    (tmp_path / "mine-1").mkdir()
    (tmp_path / "mine-1" / LOCK).touch()
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "mine-1").stat().st_uid + 1)
    assert sweep("mine-", tmp_path) == []
    monkeypatch.undo()
    assert sweep("mine-", tmp_path) == [tmp_path / "mine-1"] and not (tmp_path / "mine-1").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("FileNotFoundError: '/home/ann/x/queue.py'", "FileNotFoundError: '.../queue.py'"),
        ("exec of /usr/bin/python3 (in /tmp/a-b/)", "exec of .../python3 (in .../)"),
        ("no host box-1: box-17 is one", "no host (host): box-17 is one"),
        ("10.1.2.3:80 refuses, 127.0.0.1 too", "(address):80 refuses, 127.0.0.1 too"),
        ("12 frames/s, 1/2, https://example.org/a/b, not done within 90 s", None),
    ],
)
def test_texts_name_no_place_of_the_machine(text: str, told: str | None) -> None:
    """Folders, addresses and the name of the machine are left out; what is none of these stays."""
    assert anonymous(text, "box-1") == (told or text)
