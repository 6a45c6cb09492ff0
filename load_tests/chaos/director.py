"""Does what operators do: revokes and grants, pauses until mailboxes are full, swaps, loads and unloads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from nyx_plugins import NyxPluginError, PluginNotFailed, PluginNotRegistered, PluginSystem
from nyx_plugins.config.settings import PluginSettings

from .cast import CAST, GUEST
from .plan import Deed
from .verdict import Closed, Faults

PERMISSION = "data_access"
# What a guest that leaves has in hand must be done within this time, in seconds; the rest is dead-lettered.
UNLOAD_S = 0.3
MOST_INSTANCES = 4
SPREAD = [part.id for part in CAST if part.spread]
# How long calming down may take for each plugin, in seconds.
CALM_S = 30.0


class Director:
    """Carries out several plans at a time until told to stop; within a plan each deed is undone before the next."""

    def __init__(
        self, system: PluginSystem, faults: Faults, guest: PluginSettings, bundles: Mapping[int, Sequence[Path]]
    ) -> None:
        self.done: Counter[str] = Counter()
        self.closed: list[Closed] = []
        self.error: BaseException | None = None
        self._system, self._faults, self._guest = system, faults, guest
        self._bundles = bundles
        self._over = threading.Event()
        self._hospitality = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.kinds: dict[str, Callable[[Deed], None]] = {
            "revoke": self._revoke,
            "fill": self._fill,
            "guest": self._have_guest,
            "swap": self._swap,
            "reset": self._reset_one,
            "scale": self._scale,
        }

    def follow(self, deeds: Iterator[Deed]) -> None:
        """Begin with one more plan."""
        thread = threading.Thread(target=self._follow, args=(deeds,), name="director", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _follow(self, deeds: Iterator[Deed]) -> None:
        try:
            for deed in deeds:
                if self._over.wait(deed.after_s):
                    return
                self._do(deed)
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Do no more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def calm(self, plugins: Sequence[int]) -> None:
        """See to it that a guest can come and go, and that all others take frames, and work."""
        if not self._insist(self._receive, GUEST.id):
            self._faults.note("a plugin could not be loaded in the end", f"plugin {GUEST.id}")
        for plugin in plugins:
            for what, act in (
                ("reset", self._reset),
                ("granted its permission", self._grant),
                ("resumed", self._system.resume),
            ):
                if not self._insist(act, plugin):
                    self._faults.note(f"a plugin could not be {what} in the end", f"plugin {plugin}")

    def _do(self, deed: Deed) -> None:
        try:
            self.kinds[deed.what](deed)
            self.done[deed.what] += 1
        except NyxPluginError as error:
            self.done[f"{deed.what} in vain: {type(error).__name__} {error}"] += 1

    def _revoke(self, deed: Deed) -> None:
        try:
            self._system.revoke(deed.plugin, PERMISSION)
            from_ns = time.monotonic_ns()
            self._over.wait(deed.for_s)
            self.closed.append(Closed(deed.plugin, from_ns, time.monotonic_ns()))
        finally:
            self._insist(self._grant, deed.plugin)

    def _grant(self, plugin: int) -> None:
        self._system.grant(plugin, PERMISSION)

    def _fill(self, deed: Deed) -> None:
        try:
            self._system.pause(deed.plugin)
            self._over.wait(deed.for_s)
        finally:
            self._insist(self._system.resume, deed.plugin)

    def _swap(self, deed: Deed) -> None:
        """Put another version in its place, or another copy of the same."""
        bundles = self._bundles[deed.plugin]
        self._system.swap(deed.plugin, bundles[deed.choice % len(bundles)])

    def _scale(self, deed: Deed) -> None:
        """Let one of those that have instances have more, or fewer."""
        plugin = SPREAD[deed.plugin % len(SPREAD)]
        self._system.scale(plugin, 1 + deed.choice % MOST_INSTANCES)

    def _reset_one(self, deed: Deed) -> None:
        """Bring back one of those that were given up."""
        failed = [info.plugin_id for info in self._system.plugins() if info.state == "failed"]
        if failed:
            self._system.reset(failed[deed.choice % len(failed)])

    def _reset(self, plugin: int) -> None:
        with contextlib.suppress(PluginNotFailed):
            self._system.reset(plugin)

    def _have_guest(self, deed: Deed) -> None:
        """Load a plugin, and unload it."""
        with self._hospitality:
            self._receive(GUEST.id, deed.for_s)

    def _receive(self, plugin: int, for_s: float = 0.0) -> None:
        try:
            [loaded] = self._system.load_many([self._guest])
            if isinstance(loaded, NyxPluginError):
                raise loaded
            self._over.wait(for_s)
        finally:
            # It may be there even so: an answer that came too late is no failure.
            self._dismiss()

    def _dismiss(self) -> None:
        if not self._insist(self._unload, GUEST.id):
            self._faults.note("a plugin could not be unloaded", f"plugin {GUEST.id}")

    def _unload(self, plugin: int) -> None:
        with contextlib.suppress(PluginNotRegistered):
            self._system.unload(plugin, UNLOAD_S)

    def _insist(self, act: Callable[[int], None], plugin: int) -> bool:
        """Try again while those who have to answer are being restarted; whether it was done."""
        deadline = time.monotonic() + CALM_S
        while time.monotonic() < deadline:
            with contextlib.suppress(NyxPluginError):
                act(plugin)
                return True
            time.sleep(0.05)
        return False
