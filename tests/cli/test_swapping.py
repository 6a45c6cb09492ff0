"""Swapping from another terminal, once and each time that a bundle changes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from nyx_plugins import Difference, PluginHeader, PluginSystem, SwapReport
from nyx_plugins.cli import swapping
from nyx_plugins.cli.watching import Watch
from nyx_plugins.plugins.errors import PluginFailed, PluginNotFailed, PluginNotLoaded, SystemStopped

Invoke = Callable[..., Result]
Answer = Callable[..., Any]
SOURCE = """
from nyx_plugins.plugins import Plugin

class P(Plugin):
    def on_data(self, frame):
        return b"VERSION"

    def snapshot(self):
        return 1

    def restore(self, state, version):
        pass
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a version of the plugin ``p`` (7) into one and the same folder."""

    def write(version: str, permissions: str = '"data_access"', source: str = SOURCE) -> Path:
        folder = tmp_path / "p"
        folder.mkdir(exist_ok=True)
        (folder / "plugin.py").write_text(source.replace("VERSION", version))
        (folder / "plugin.toml").write_text(
            f'id = 7\nname = "p"\nversion = "{version}"\napi_version = 1\nentry_point = "plugin:P"\n'
            f"permissions = [{permissions}]\n"
        )
        return folder

    return write


def reply(system: PluginSystem) -> bytes | None:
    """Ask the plugin for its version."""
    return system.request(0x52, PluginHeader(7, 0, b""))


def test_a_swap_is_one_line(driven: PluginSystem, invoke: Invoke, write: Callable[..., Path]) -> None:
    """It says who has taken whose place, and for how long neither worked."""
    driven.load(write("1.0"))
    result = invoke("swap", "p", write("1.1"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("swapped p (7) 1.0 -> 1.1, with its state, paused for ")
    assert result.stdout.count("\n") == 1
    assert reply(driven) == b"1.1"


def test_differences_are_shown_and_have_to_be_allowed(
    driven: PluginSystem, invoke: Invoke, write: Callable[..., Path]
) -> None:
    """A dry run lists what is more and what is less; a swap that widens needs the option."""
    driven.load(write("1.0"))
    folder = write("1.1", permissions='"control", "handshake"')
    result = invoke("swap", "7", folder, "--dry-run")
    shown = [
        "would swap p (7) 1.0 -> 1.1",
        "  + permissions: 'control' is new",
        "  + permissions: 'handshake' is new",
        "  - permissions: 'data_access' is gone",
    ]
    assert (result.exit_code, result.stdout.splitlines()) == (0, shown)
    refused = invoke("swap", "7", folder)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "'control' is new; permissions: 'handshake' is new (--allow-widen allows it)" in refused.stderr
    assert reply(driven) == b"1.0"
    assert invoke("swap", "7", folder, "--allow-widen").exit_code == 0
    assert driven.plugin_info(7).permissions == {"control", "handshake"}


def test_what_is_neither_more_nor_less_has_a_sign_of_its_own() -> None:
    """Another handshake, or what a swap does not take over."""
    found = (Difference("cpu_seconds", "2 becomes 1", False), Difference("balance", "stays", None))
    shown = list(swapping.lines(SwapReport(7, "1", "2", found, swapped=False), "p"))
    assert shown[1:] == ["  - cpu_seconds: 2 becomes 1", "  ~ balance: stays"]


def test_a_swap_tells_programs(driven: PluginSystem, answer: Answer, write: Callable[..., Path]) -> None:
    """One object, the report."""
    driven.load(write("1.0"))
    report = answer("swap", "p", write("1.1"))
    assert (report["plugin_id"], report["old_version"], report["new_version"]) == (7, "1.0", "1.1")
    assert (report["differences"], report["state_carried"], report["swapped"]) == ([], True, True)


class Hours:
    """Takes the place of sleeping: each time, the next thing happens to the bundle, until the service stops."""

    def __init__(self, *events: Callable[[], object]) -> None:
        self._events: Iterator[Callable[[], object]] = iter(events)
        self._due = 0

    def __call__(self, seconds: float) -> None:
        """Let something happen at every third look, so that there is time to notice."""
        self._due += 1
        if self._due % 3 == 1:
            event = next(self._events, None)
            if event is None:
                raise SystemStopped("it was stopped")
            event()


def test_a_folder_is_followed(
    driven: PluginSystem, invoke: Invoke, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change is swapped; what is no good is told of, and the version in its place goes on until it is mended."""
    driven.load(write("1.0"))
    seen: list[bytes | None] = []
    hours = Hours(
        lambda: write("1.1"),
        lambda: write("1.2", source="this is no Python"),
        lambda: seen.append(reply(driven)),
        lambda: write("1.3"),
        lambda: seen.append(reply(driven)),
    )
    monkeypatch.setattr(swapping, "sleep", hours)
    result = invoke("swap", "p", write("1.0"), "--watch")
    assert result.exit_code == 3
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == [
        "swapped p (7) 1.0 -> 1.1",
        "swapped p (7) 1.1 -> 1.3",
    ]
    watching, failed, stopped = result.stderr.splitlines()
    assert watching.endswith("/p for p (7)")
    assert "plugin 7 is not swapped (start): SyntaxError" in failed
    assert "it was stopped" in stopped
    assert seen == [b"1.1", b"1.3"]


def test_a_plugin_that_has_failed_is_brought_back(
    driven: PluginSystem, invoke: Invoke, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is saved after a version has given up takes its place, and nothing is said but that."""
    failing = SOURCE.replace('return b"VERSION"', "raise SystemExit(1)")
    folder = write("1.0", source=failing)
    (folder / "plugin.toml").write_text((folder / "plugin.toml").read_text() + '[restart]\npolicy = "temporary"\n')
    driven.load(folder)
    driven.dispatch(0x52, PluginHeader(7, 0, b"")).outcome(30.0)
    assert driven.plugin_info(7).state == "failed"
    now = iter(range(1000))
    monkeypatch.setattr(swapping, "Watch", lambda bundle: Watch(bundle, clock=lambda: float(next(now))))
    monkeypatch.setattr(swapping, "sleep", Hours(lambda: write("1.1"), lambda: None, lambda: None))
    result = invoke("swap", "p", folder, "--watch")
    assert result.stdout.startswith("swapped p (7) 1.0 -> 1.1") and result.stdout.count("\n") == 1
    watching, stopped = result.stderr.splitlines()
    assert (watching.startswith("watching "), "it was stopped" in stopped) == (True, True)
    assert reply(driven) == b"1.1"


class WithoutWorker:
    """A system whose only plugin has no worker, in this ``state``; a reset does what ``resetting`` says."""

    def __init__(self, state: str, resetting: Exception | None) -> None:
        self.digest = "another"
        self.resets = 0
        self._state = state
        self._resetting = resetting

    def plugin_info(self, plugin_id: int) -> WithoutWorker:
        """Stand for the plugin, too."""
        return self

    def swap(self, plugin_id: int, *_: object, **__: object) -> None:
        """There is no worker to swap."""
        raise PluginNotLoaded(plugin_id, self._state)

    def reset(self, plugin_id: int) -> None:
        """Count, and fail if it shall."""
        self.resets += 1
        if self._resetting is not None:
            raise self._resetting


@pytest.mark.parametrize(
    ("state", "resetting", "told", "resets"),
    [
        ("failed", None, "", 2),
        ("failed", PluginNotFailed(7, "ready"), "", 2),
        ("failed", PluginFailed(7, "still not", "reset"), "plugin 7 failed (reset): still not", 2),
        ("restarting", None, "", 0),
        ("quarantined", None, "its state is 'quarantined'", 0),
    ],
)
def test_only_what_keeps_a_plugin_from_coming_back_is_told(
    write: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    state: str,
    resetting: Exception | None,
    told: str,
    resets: int,
) -> None:
    """A plugin without a worker is tried again; that it has none is told if it stays so, once and not at each try."""
    folder, now = str(write("1.0")), iter(range(1000))
    watch = Watch(folder, clock=lambda: float(next(now)))
    system: Any = WithoutWorker(state, resetting)
    wish = swapping.Wish(folder, allow_widen=False, dry_run=False, timeout_s=None, json_wanted=False)
    last = ""
    for _ in range(2):
        assert watch.is_due() or watch.is_due()
        last = swapping._try(system, 7, "p", wish, watch, last)
    assert (last == "") == (told == "")
    lines = capsys.readouterr().err.splitlines()
    assert [told in line for line in lines] == [True] * (told != "")
    assert system.resets == resets


def test_the_end_of_the_system_ends_the_watching(write: Callable[..., Path]) -> None:
    """A system that stops while a plugin is brought back is the end, and no mishap of a version."""
    folder = str(write("1.0"))
    wish = swapping.Wish(folder, allow_widen=False, dry_run=False, timeout_s=None, json_wanted=False)
    system: Any = WithoutWorker("failed", SystemStopped("it is stopping"))
    with pytest.raises(SystemStopped):
        swapping._try(system, 7, "p", wish, Watch(folder), "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("swap", "missing argument 'PLUGIN'"),
        ("swap 7", "missing argument 'BUNDLE'"),
        ("swap 7 x --watch --dry-run", "'--watch' swaps, and '--dry-run' does not"),
        ("swap 7 ''", "bundle '': must not be empty"),
        ("check ''", "bundle '': must not be empty"),
    ],
)
def test_a_wrong_argument_is_one_sentence(driven: PluginSystem, arguments: str, expected: str, invoke: Invoke) -> None:
    """The sentence names the mistake; exit code 2."""
    result = invoke(*shlex.split(arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr and result.stderr.count("\n") == 1


def test_what_does_not_change_is_not_watched(driven: PluginSystem, invoke: Invoke) -> None:
    """A bundled plugin is the same for ever."""
    driven.load("builtin:echo")
    result = invoke("swap", "echo", "builtin:echo", "--watch")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not change" in result.stderr
