"""Git: where the project's checkout is, and a second worktree of it for as long as it is needed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import NoCheckout, UnknownRevision
from ..interruption import answered

TIMEOUT_S = 120


def checkout_of(folder: Path) -> Path:
    """Return the root of the checkout that ``folder`` is in. Raises :class:`NoCheckout`."""
    found = _git(folder, "rev-parse", "--show-toplevel")
    if found.returncode:
        raise NoCheckout(folder, _last_line(found.stderr))
    root = Path(found.stdout.strip())
    if not (root / "actors" / "_face").is_dir():
        raise NoCheckout(folder, f"{root} has no folder actors/_face")
    return root


def commit_of(root: Path, revision: str) -> str:
    """Return the commit that ``revision`` names. Raises :class:`UnknownRevision`."""
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode:
        raise UnknownRevision(revision, _last_line(found.stderr) or "is it fetched?")
    return found.stdout.strip()


@contextmanager
def worktree(root: Path, commit: str, path: Path) -> Iterator[Path]:
    """Have ``commit`` checked out in ``path`` within this, and nothing left of it afterwards."""
    try:
        made = _git(root, "worktree", "add", "--detach", "--force", str(path), commit)
        if made.returncode:
            raise UnknownRevision(commit, _last_line(made.stderr))
        yield path
    finally:
        with answered(lambda *_: None):
            _remove(root, path)


def _remove(root: Path, path: Path) -> None:
    """Remove a worktree, also one that git was interrupted in making, which has locked it for that time."""
    _git(root, "worktree", "unlock", str(path))
    _git(root, "worktree", "remove", "--force", str(path))
    shutil.rmtree(path, ignore_errors=True)
    _git(root, "worktree", "prune")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(folder), *arguments]
    try:
        # In a session of its own: Ctrl-C is for us, who clean up after it, and not for git in the middle of it.
        return subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, start_new_session=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCheckout(folder, str(error)) from None


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
