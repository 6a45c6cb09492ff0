"""Does to plugins what their operators do: revokes and grants, pauses until mailboxes are full, loads and unloads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from nyx_plugins import NyxPluginError, PluginSystem

from .plan import Deed
from .verdict import Closed, Faults

PERMISSION = "data_access"
GUEST = 99
# How long calming down may take for each plugin, in seconds.
CALM_S = 30.0


class Director(threading.Thread):
    """Carries out deeds until told to stop; each is undone before the next."""

    def __init__(self, system: PluginSystem, faults: Faults) -> None:
        super().__init__(name="director", daemon=True)
        self.done: Counter[str] = Counter()
        self.closed: list[Closed] = []
        self.error: BaseException | None = None
        self._system, self._faults = system, faults
        self._over = threading.Event()
        self._deeds: Iterator[Deed]
        self.kinds: dict[str, Callable[[Deed], None]] = {
            "revoke": self._revoke,
            "fill": self._fill,
            "guest": self._guest,
        }

    def follow(self, deeds: Iterator[Deed]) -> None:
        """Start with these."""
        self._deeds = deeds
        self.start()

    def run(self) -> None:
        """Do."""
        try:
            for deed in self._deeds:
                if self._over.wait(deed.after_s):
                    return
                self._do(deed)
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Do no more."""
        self._over.set()
        self.join()

    def calm(self, plugins: Sequence[int]) -> None:
        """See to it that all plugins take frames, and work."""
        for plugin in plugins:
            for what, act in (("granted its permission", self._grant), ("resumed", self._system.resume)):
                if not self._insist(act, plugin):
                    self._faults.note(f"a plugin could not be {what} in the end", f"plugin {plugin}")

    def _do(self, deed: Deed) -> None:
        try:
            self.kinds[deed.what](deed)
            self.done[deed.what] += 1
        except NyxPluginError as error:
            self.done[f"{deed.what} in vain: {type(error).__name__}"] += 1

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

    def _guest(self, deed: Deed) -> None:
        """Load a plugin that nobody sends to, and unload it."""
        try:
            self._system.load("builtin:echo", plugin_id=GUEST)
        finally:
            with contextlib.suppress(NyxPluginError):
                self._system.unload(GUEST)

    def _insist(self, act: Callable[[int], None], plugin: int) -> bool:
        """Try again while those who have to answer are being restarted; whether it was done."""
        deadline = time.monotonic() + CALM_S
        while time.monotonic() < deadline:
            with contextlib.suppress(NyxPluginError):
                act(plugin)
                return True
            time.sleep(0.05)
        return False
