"""What a program does with plugins besides sending frames: one half of :class:`PluginSystem`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.errors import NyxPluginError
from ..config.settings import Durability, PluginSettings, Settings
from . import messages as m
from . import questions
from .arguments import checked_id
from .events import DispatchStats, PluginStats
from .plugin_info import PluginInfo, accepting, info_of
from .questions import Ask
from .swap_report import SwapReport


class Management(ABC):
    """Each call is a question to an actor, and returns or raises what that answers."""

    _settings: Settings

    @abstractmethod
    def _ask(self, ask: Ask) -> Any:
        """Return the answer, or raise it."""

    @abstractmethod
    def _routes(self) -> Mapping[int, m.Route]:
        """The routes as last told."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    # Plugins.

    def load(
        self,
        bundle: str | Path,
        *,
        plugin_id: int | None = None,
        capacity: int | None = None,
        capacity_bytes: int | None = None,
        permissions: Iterable[str] | None = None,
        config: Mapping[str, Any] | None = None,
        require_handshake: bool | None = None,
        instances: int | None = None,
        durability: Durability | None = None,
    ) -> PluginInfo:
        """Load one bundle (a directory, a zip, or ``builtin:NAME``) and return what it is once it is ready.

        What is not given comes from the bundle's manifest, then from the settings. With ``durability`` ``"disk"``
        frames outlive the system: what an earlier one has left unfinished under this id is delivered first. Raises
        :class:`BundleError`, :class:`ManifestError`, :class:`PolicyRefused`, :class:`AlreadyLoaded`,
        :class:`DependencyMissing`, :class:`PluginFailed`, :class:`MailboxFailed`, :class:`RegistryFailed`,
        :class:`JournalFailed` or :class:`BacklogOfAnother`, and has then left nothing behind.
        """
        options = (plugin_id, capacity, capacity_bytes, permissions, config)
        wanted = questions.one_plugin(
            bundle, *options, require_handshake=require_handshake, instances=instances, durability=durability
        )
        [result] = self.load_many([wanted])
        if isinstance(result, NyxPluginError):
            raise result
        return result

    def load_many(self, plugins: Sequence[PluginSettings]) -> list[PluginInfo | NyxPluginError]:
        """Load several plugins at the same time; one result or error for each, in order. One never harms another.

        Raises :class:`ConfigError` when the settings name a permission that does not exist; nothing is loaded then.
        """
        results = self._ask(questions.load(self._settings, plugins))
        return [self._info(item) if isinstance(item, m.Registration) else item for item in results]

    def load_configured(self) -> list[PluginInfo | NyxPluginError]:
        """Load the plugins that the settings name."""
        return self.load_many(self._settings.plugins)

    def unload(self, plugin_id: int, timeout: float | None = None, *, cascade: bool = False) -> None:
        """Take no more frames, finish those accepted within ``timeout`` seconds, and remove the plugin.

        What is not finished then is dead-lettered. With ``cascade`` those plugins are unloaded before that require it,
        all within the same time. Raises :class:`PluginNotRegistered`, :class:`PluginNotLoaded`,
        :class:`DependentsLoaded`, and :class:`RegistryFailed` of one that is not loaded.
        """
        self._ask(questions.unload(self._settings, plugin_id, timeout, cascade))

    def swap(
        self,
        plugin_id: int,
        bundle: str | Path,
        *,
        allow_widen: bool = False,
        dry_run: bool = False,
        timeout: float | None = None,
    ) -> SwapReport:
        """Put another version in a plugin's place while frames come in: none is lost, doubled or reordered.

        The new version starts beside the old one, gets its state (``snapshot`` and ``restore``) and goes on between two
        frames. If anything fails the old one goes on, as if nothing had been. ``timeout`` (seconds,
        ``system.load_timeout_s`` by default) is for each of: reading the bundle, starting the new version, waiting for
        frames in hand, moving over. With ``dry_run`` nothing is changed: the report shows the differences.

        Raises :class:`SwapRefused` when the new version would be allowed more, unless ``allow_widen``;
        :class:`SwapFailed`, and what :meth:`load` raises for a bundle.
        """
        report: SwapReport = self._ask(questions.swap(self._settings, plugin_id, bundle, allow_widen, dry_run, timeout))
        return report

    def scale(self, plugin_id: int, instances: int) -> None:
        """Run the plugin in so many workers (1 to 64) from now on; returns once they are ready, and surplus ones gone.

        No frame is lost, and the order of frames with the same key holds: with ``balance = "by_key"`` frames go to the
        new workers once all that were accepted before are finished. Raises :class:`PluginNotRegistered`,
        :class:`PluginNotLoaded`, :class:`PluginFailed`.
        """
        self._ask(questions.scale(self._settings, plugin_id, instances))

    def pause(self, plugin_id: int) -> None:
        """Hand no more frames to the plugin; its mailbox accepts until it is full.

        Returns once the plugin has finished what it had in hand.
        """
        self._ask(questions.pause(self._settings, plugin_id, True))

    def resume(self, plugin_id: int) -> None:
        """Go on after :meth:`pause`."""
        self._ask(questions.pause(self._settings, plugin_id, False))

    def reset(self, plugin_id: int) -> None:
        """Bring a plugin back that has failed or is in quarantine, with all its restarts before it; its counters stay.

        Returns when it is ready. Raises :class:`PluginNotRegistered`, :class:`PluginNotFailed`, and
        :class:`PluginFailed` or :class:`PluginQuarantined` when it has failed again.
        """
        self._ask(questions.reset(self._settings, plugin_id))

    def grant(self, plugin_id: int, permission: str) -> None:
        """Give a permission; in force when this returns. Raises :class:`RegistryFailed`, and has changed nothing."""
        self._ask(questions.change_permission(self._settings, plugin_id, permission, True))

    def revoke(self, plugin_id: int, permission: str) -> None:
        """Take a permission away; once this returns, no frame that needs it is accepted.

        Raises :class:`RegistryFailed`, and has changed nothing.
        """
        self._ask(questions.change_permission(self._settings, plugin_id, permission, False))

    # What is known.

    def plugin_stats(self, plugin_id: int) -> PluginStats:
        """Return one plugin's counters, read at its plugin actor; raises :class:`PluginNotRegistered`."""
        stats: PluginStats = self._ask(questions.plugin_stats(plugin_id))
        return stats

    def dispatch_stats(self) -> DispatchStats:
        """Return the dispatcher's counters."""
        stats: DispatchStats = self._ask(questions.dispatch_stats())
        return stats

    def plugin_info(self, plugin_id: int) -> PluginInfo:
        """Return what is registered; raises :class:`PluginNotRegistered`."""
        return self._info(self._ask(questions.registration(plugin_id)))

    def plugins(self) -> list[PluginInfo]:
        """Return all that is registered, whatever its state, in ascending order of the ids."""
        return [self._info(row) for row in self._ask(questions.registrations())]

    def loaded_plugins(self) -> list[int]:
        """Return the ids of the plugins that take frames, in ascending order."""
        return accepting(self._routes())

    def loaded_plugin_count(self) -> int:
        """Return how many plugins take frames."""
        return len(self.loaded_plugins())

    def is_plugin_loaded(self, plugin_id: int) -> bool:
        """Whether this plugin takes frames."""
        return checked_id(plugin_id) in self.loaded_plugins()

    def reconfigure(self, settings: Settings) -> None:
        """Let plugins that are loaded from now on have these limits, this ceiling and this supervision.

        Nothing changes for those that are loaded; what the system is made of (``system``, the largest header and the
        queue of events) stays as it was started with.
        """
        settings, question = questions.change_settings(self._settings, settings)
        self._ask(question)
        self._settings = settings

    def _info(self, row: m.Registration) -> PluginInfo:
        return info_of(row, self._routes())
