"""The machine on which a load test runs, and the versions of what runs on it."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from .result import Machine

PACKAGES = ("nyx-plugins", "attrs", "cattrs", "cbor2", "thespian", "hdrhistogram")


def machine() -> Machine:
    """Return what this machine is."""
    return Machine(
        _processor(),
        len(os.sched_getaffinity(0)),
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        f"{platform.system()} {platform.release()}",
        f"{platform.python_implementation()} {platform.python_version()}",
        round(os.getloadavg()[0], 2),
    )


def versions() -> dict[str, str]:
    """Return the versions of the package and of what it needs, and the revision of the checkout, if it is one."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    if revision := _revision(Path(__file__).resolve().parents[1]):
        found["revision"] = revision
    return found


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _revision(folder: Path) -> str:
    """Return the commit, with a ``+`` behind it if there are changes; empty if that folder is no checkout of ours."""
    if not (folder / ".git").exists():
        return ""
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    return commit and commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        words = ["git", "-C", str(folder), *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return ""
