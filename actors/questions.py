"""What the methods of a system ask its actors: whom, what, for how long. Pure; the same for threads and for asyncio.

Arguments are checked here, where they come in; mistakes raise :class:`TypeError`, :class:`ValueError` or
:class:`ConfigError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from ..config.checks import shown
from ..config.errors import ConfigError, Fault
from ..config.settings import Durability, PluginSettings, Settings
from ..plugins.permissions import known_permissions
from . import messages as m
from ._thespian import Address
from .arguments import (
    checked_bundle,
    checked_config,
    checked_count,
    checked_id,
    checked_instances,
    checked_kind,
    checked_letters,
    checked_permission,
    checked_permissions,
    checked_seconds,
    load_specs,
    located_bundle,
)
from .dead_letter_info import DeadLetterContent

# What an answer may take beyond the time its work is given, in seconds.
ANSWER_S = 5.0
# What may be done twice is asked again after this time, in seconds: an actor may have been restarted meanwhile.
AGAIN_S = 1.0
# Dead letters are fetched so many at a time.
PAGE_LETTERS = 100
NEEDS_STATE_DIR = 'must be "memory" where there is no state directory (system.state_dir), not "disk"'


@attrs.frozen
class Ask:
    """One question to the actor with this ``role``."""

    role: str
    make: Callable[[int, Address], m.Question]
    what: str
    """What errors call it."""
    timeout_s: float = ANSWER_S
    again: bool = False
    """Whether it changes nothing, and is asked again every ``AGAIN_S`` as long as there is time."""
    asked_at: float = 0.0
    """When it was asked for the first time (monotonic, in seconds), if it is asked again; 0: it is not."""
    repeat: bool = False
    """Whether it may be asked twice: it is asked again when an actor that may have lost it has been started again."""

    @property
    def may_repeat(self) -> bool:
        """Whether it may be asked twice, for either reason."""
        return self.again or self.repeat

    def repeated(self, asked_at: float) -> Ask:
        """The same, asked again; ``asked_at`` is when it was asked the time before."""
        return attrs.evolve(self, asked_at=self.asked_at or asked_at)

    def question(self, number: int, reply_to: Address) -> m.Question:
        """Make the message."""
        question = self.make(number, reply_to)
        return attrs.evolve(question, asked_at=self.asked_at) if isinstance(question, m.Change) else question


def one_plugin(
    bundle: str | Path,
    plugin_id: int | None,
    capacity: int | None,
    capacity_bytes: int | None,
    permissions: Iterable[str] | None,
    config: Mapping[str, Any] | None,
    *,
    require_handshake: bool | None = None,
    instances: int | None = None,
    durability: Durability | None = None,
) -> PluginSettings:
    """Check the arguments of ``load``; raises :class:`TypeError` and :class:`ConfigError`."""
    place = checked_bundle(bundle)
    names, table = checked_permissions(permissions), checked_config(config)
    try:
        options = (plugin_id, capacity, capacity_bytes, names, table)
        return PluginSettings(
            place, *options, require_handshake=require_handshake, instances=instances, durability=durability
        )
    except ConfigError as error:
        raise ConfigError(f"of {shown(place)}", error.faults) from None


def load(settings: Settings, plugins: Sequence[PluginSettings]) -> Ask:
    """Load these; the value is a list of registrations and errors."""
    specs = load_specs(plugins, known_permissions(settings.frame_types))
    for spec in specs:
        _check_durability(settings, spec)
    timeout_s = 2 * (settings.system.load_timeout_s + ANSWER_S) * (1 + len(specs) / 10)
    return Ask("supervisor", lambda n, to: m.LoadPlugins(n, to, specs), "loading", timeout_s)


def _check_durability(settings: Settings, plugin: m.LoadSpec) -> None:
    wanted = plugin.durability or settings.limits.durability
    if wanted == "disk" and not settings.system.state_dir:
        raise ConfigError(f"of {shown(plugin.bundle)}", [Fault("durability", NEEDS_STATE_DIR)])


def unload(settings: Settings, plugin_id: int, timeout: float | None, cascade: bool = False) -> Ask:
    """Unload one, and with ``cascade`` what needs it, with ``timeout`` seconds for what they have accepted."""
    checked_id(plugin_id)
    drain_s = checked_seconds(timeout, settings.limits.drain_timeout_s)
    return Ask(
        "supervisor",
        lambda n, to: m.UnloadPlugin(n, to, plugin_id, drain_s, cascade),
        f"unloading plugin {plugin_id}",
        drain_s + 2 * settings.system.stop_timeout_s + ANSWER_S,
    )


def swap(
    settings: Settings, plugin_id: int, bundle: str | Path, allow_widen: bool, dry_run: bool, timeout: float | None
) -> Ask:
    """Put another version in the place of one; the value is a ``SwapReport``."""
    checked_id(plugin_id)
    place = located_bundle(checked_bundle(bundle))
    step_s = checked_seconds(timeout, settings.system.load_timeout_s)
    return Ask(
        "supervisor",
        lambda n, to: m.SwapPluginFor(n, to, plugin_id, place, bool(allow_widen), bool(dry_run), step_s),
        f"swapping plugin {plugin_id}",
        settings.system.load_timeout_s + 3 * step_s + settings.system.stop_timeout_s + 2 * ANSWER_S,
    )


def scale(settings: Settings, plugin_id: int, instances: int) -> Ask:
    """Run one in so many workers."""
    checked_id(plugin_id)
    checked_instances(instances)
    system = settings.system
    return Ask(
        "supervisor",
        lambda n, to: m.ScalePlugin(n, to, plugin_id, instances),
        f"scaling plugin {plugin_id}",
        system.load_timeout_s + system.stop_timeout_s + settings.ceiling.wall_time_s + ANSWER_S,
        again=True,
    )


def pause(settings: Settings, plugin_id: int, paused: bool) -> Ask:
    """Pause one, or let it go on."""
    checked_id(plugin_id)
    return Ask(
        "supervisor",
        lambda n, to: m.PausePlugin(n, to, plugin_id, paused),
        f"{'pausing' if paused else 'resuming'} plugin {plugin_id}",
        settings.ceiling.wall_time_s + ANSWER_S,
        again=True,
    )


def reset(settings: Settings, plugin_id: int) -> Ask:
    """Bring a plugin back that was given up."""
    checked_id(plugin_id)
    return Ask(
        "supervisor",
        lambda n, to: m.ResetPlugin(n, to, plugin_id),
        f"resetting plugin {plugin_id}",
        2 * (settings.system.load_timeout_s + ANSWER_S),
    )


def change_permission(settings: Settings, plugin_id: int, permission: str, granted: bool) -> Ask:
    """Give a permission or take it away."""
    checked_id(plugin_id)
    checked_permission(permission, known_permissions(settings.frame_types))
    return Ask(
        "registry",
        lambda n, to: m.ChangePermission(n, to, plugin_id, permission, granted),
        f"changing permissions of plugin {plugin_id}",
        repeat=True,
    )


def plugin_stats(plugin_id: int) -> Ask:
    """One plugin's counters; the value is a ``PluginStats``."""
    checked_id(plugin_id)
    return Ask("dispatcher", lambda n, to: m.GetPluginStats(n, to, plugin_id), "statistics", again=True)


def dispatch_stats() -> Ask:
    """The dispatcher's counters; the value is a ``DispatchStats``."""
    return Ask("dispatcher", m.GetDispatchStats, "statistics", again=True)


def dead_letters(plugin_id: int, after: int, limit: int, with_headers: bool = False) -> Ask:
    """Some dead letters of a plugin; the value is a list of ``DeadLetterInfo``, with headers ``DeadLetterContent``."""
    checked_id(plugin_id)
    checked_count("after", after, 0)
    checked_count("limit", limit, 1)
    return Ask(
        "dispatcher",
        lambda n, to: m.ListDeadLetters(n, to, plugin_id, after, limit, with_headers),
        f"dead letters of plugin {plugin_id}",
        again=True,
    )


def letters_behind(plugin_id: int, contents: Sequence[DeadLetterContent]) -> Ask:
    """The next dead letters with their headers, behind those that are there already."""
    return dead_letters(plugin_id, contents[-1].letter_id if contents else 0, PAGE_LETTERS, with_headers=True)


def plugins_with_letters() -> Ask:
    """Who has dead letters, or had some; the value is a list of ids."""
    return Ask("dispatcher", m.FindDeadLetters, "dead letters", again=True)


def dead_letter(plugin_id: int, letter_id: int) -> Ask:
    """One dead letter; the value is a ``DeadLetterContent``."""
    checked_id(plugin_id)
    checked_count("a dead letter's number", letter_id, 0)
    return Ask(
        "dispatcher",
        lambda n, to: m.GetDeadLetter(n, to, plugin_id, letter_id),
        f"dead letter {letter_id} of plugin {plugin_id}",
        again=True,
    )


def drop_dead_letters(plugin_id: int, ids: Iterable[int] | None) -> Ask:
    """Remove some, or all; the value is how many were removed."""
    checked_id(plugin_id)
    numbers = checked_letters(ids)
    return Ask(
        "dispatcher",
        lambda n, to: m.DropDeadLetters(n, to, plugin_id, numbers),
        f"dropping dead letters of plugin {plugin_id}",
    )


def registration(plugin_id: int) -> Ask:
    """What is registered under an id; the value is a registration."""
    checked_id(plugin_id)
    return Ask("supervisor", lambda n, to: m.GetRegistration(n, to, plugin_id), "registration", again=True)


def registrations() -> Ask:
    """All that is registered; the value is a list of registrations, in ascending order of the ids."""
    return Ask("supervisor", m.ListRegistrations, "registrations", again=True)


def change_settings(old: Settings, settings: Settings) -> tuple[Settings, Ask]:
    """What is in force once plugins that are loaded from now on have these settings, and the question for it.

    Raises :class:`TypeError`.
    """
    checked_kind("settings", settings, Settings)
    limits = attrs.evolve(
        settings.limits,
        max_header_bytes=old.limits.max_header_bytes,
        max_stream_frame_bytes=old.limits.max_stream_frame_bytes,
        event_queue=old.limits.event_queue,
    )
    new = attrs.evolve(settings, system=old.system, limits=limits, frame_types=old.frame_types, plugins=())
    return new, Ask("supervisor", lambda n, to: m.ChangeSettings(n, to, new), "changing settings")


def stop(settings: Settings, drain_s: float) -> Ask:
    """Unload everything; the value tells what became of it."""
    timeout_s = drain_s + 2 * settings.system.stop_timeout_s + ANSWER_S
    return Ask("supervisor", lambda n, to: m.StopSystem(n, to, drain_s), "stopping", timeout_s)
