"""``Scenario``: what a load test does, read from TOML. Each key is documented here, with its unit and its range.

A scenario with ``variants`` does all of them in each round, one after the other, each on a system of its own: what a
variant says goes before what the scenario says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import attrs
from attrs import field

from nyx_plugins.config import checks, settings
from nyx_plugins.config.documents import parse_toml, structure
from nyx_plugins.config.errors import ConfigError, Fault
from nyx_plugins.config.settings import Settings

from .errors import ScenarioError

Mode = Literal["open", "closed", "none"]
Arrivals = Literal["poisson", "constant"]
Call = Literal["many", "one", "request"]
WhenFull = Literal["refuse", "wait"]
Work = Literal["none", "sleep", "spin"]
Deed = Literal["stall", "spin", "flood", "kill", "swap", "load", "unload", "pause", "resume", "scale", "reset"]

MAX_PLUGINS = 1000
MAX_FRAMES = 1_000_000_000
WORK = "work"
"""The bundle of a plugin that does as its group says."""
TRAFFIC = "nyx_plugins.load_tests.traffic:drive"
"""The driver of scenarios that name none: clients send frames."""

_share = re.compile(r"(\d+(?:\.\d+)?)%")
_group_name = checks.text("[a-z0-9_-]{1,32}", "the name of a group of plugins ([a-z0-9_-]{1,32})")
_variant_name = checks.text(r"[^\s\0](?:[^\0\n]{0,38}[^\s\0])?", "the name of a variant, up to 40 characters")
_driver = checks.text(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "'module:function'")
_count = checks.whole(1, MAX_PLUGINS)


def _rate_reason(value: object) -> str | None:
    if isinstance(value, str):
        return None if _share.fullmatch(value) else f"must be like '80%' if it is text, not {checks.shown(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10_000_000:
        return None
    return f"must be frames per second, 0 to 10,000,000, or a share such as '80%', not {checks.shown(value)}"


@attrs.frozen
class PluginGroup:
    """Plugins that are alike."""

    count: int = field(default=1, validator=_count)
    """How many."""
    bundle: str = field(default=WORK, validator=checks.path)
    """``work``, ``builtin:NAME``, or a path; relative ones are relative to the scenario's file."""
    id: int | None = field(default=None, validator=checks.optional(settings.plugin_id))
    """Of the only plugin of the group; otherwise ids count on from ``first_id``."""
    weight: int = field(default=1, validator=checks.whole(0, 1000))
    """How many of the frames each gets, in proportion to the others; 0 is none."""
    capacity: int = field(default=10_000, validator=settings.capacity)
    """Of each mailbox, in frames."""
    capacity_bytes: int | None = field(default=None, validator=checks.optional(settings.capacity_bytes))
    instances: int = field(default=1, validator=settings.instances)
    """Workers of each plugin."""
    loaded: bool = field(default=True, validator=checks.flag)
    """Whether they are there from the start; otherwise an event loads them."""
    decode: bool = field(default=True, validator=checks.flag)
    """``work`` only: whether the data is decoded, one CBOR map."""
    reply_bytes: int = field(default=0, validator=checks.whole(0, checks.MIB))
    """``work`` only: how long each reply is; 0 is none."""
    work: Work = field(default="none", validator=checks.one_of(*get_args(Work)))
    """``work`` only: what a frame costs besides: nothing, time asleep, or time of a processor."""
    work_us: float = field(default=0.0, validator=checks.number(0, 60_000_000))
    """``work`` only: how much of that, in microseconds."""
    manifest: dict[str, Any] = field(factory=dict, validator=checks.plain_table)
    """``work`` only: what is to be different in the manifest."""
    config: dict[str, Any] = field(factory=dict, validator=checks.plain_table)
    """What the plugin is configured with; not for ``work``."""


@attrs.frozen
class Event:
    """Something that happens while frames are sent."""

    at_s: float = field(validator=checks.seconds)
    """Seconds after the measured time has begun."""
    do: Deed = field(validator=checks.one_of(*get_args(Deed)))
    """``stall`` (the handler sleeps), ``spin`` (it burns time of a processor) and ``flood`` (it emits frames as fast as
    it can) are for ``work`` plugins; ``kill`` is for any role; the others are what an operator does."""
    group: str = field(default=WORK, validator=_group_name)
    number: int = field(default=1, validator=checks.whole(0, MAX_PLUGINS))
    """Which of the group, from 1 on; 0 is all."""
    for_s: float = field(default=1.0, validator=checks.seconds)
    """How long it lasts: of ``stall``, ``spin`` and ``flood``, and of ``pause`` until ``resume`` if it is not 0."""
    role: str = field(default="worker", validator=checks.string)
    """Who is killed: ``worker`` or ``plugin actor`` (of a plugin), ``dispatcher``, ``registry`` or ``guard``."""
    instances: int = field(default=1, validator=settings.instances)
    """For ``scale``."""
    every_s: float = field(default=0.0, validator=checks.seconds)
    """If it is not 0, it happens again and again, so many seconds after the last time ended."""


@attrs.frozen
class Limit:
    """What is asked of a metric, in the median of all rounds: alone, or compared with another."""

    metric: str = field(validator=checks.string)
    at_least: float | None = None
    at_most: float | None = None
    over: str = field(default="", validator=checks.string)
    """Another metric, by which it is divided first."""
    minus: str = field(default="", validator=checks.string)
    """Another metric, which is taken from it first."""
    what: str = field(default="", validator=checks.string)
    """In words; the names of the metrics, if it is empty."""

    def __attrs_post_init__(self) -> None:
        """Refuse a limit that limits nothing."""
        if (self.at_least is None) == (self.at_most is None):
            raise ConfigError("Limit", [Fault("", "must have at_least or at_most, and not both")])


@attrs.frozen
class Scenario:
    """One load test."""

    name: str = field(validator=checks.text("[a-z0-9][a-z0-9_-]{0,63}", "a name ([a-z0-9][a-z0-9_-]{0,63})"))
    description: str = field(validator=checks.string)
    mode: Mode = field(default="closed", validator=checks.one_of(*get_args(Mode)))
    """``open``: frames are sent at times that were fixed before, and their latency counts from the intended time.
    ``closed``: the next ones when earlier ones are done, and their latency counts from the actual time. ``none``:
    the driver sends what it likes."""
    driver: str = field(default=TRAFFIC, validator=_driver)
    """What does it: a function of an importable module, or of one in the folder of the scenario's file."""
    options: dict[str, Any] = field(factory=dict, validator=checks.plain_table)
    """For the driver, whatever it wants."""

    # How frames are sent.
    arrivals: Arrivals = field(default="poisson", validator=checks.one_of(*get_args(Arrivals)))
    """``open`` only: whether the time between two frames is random (exponentially distributed) or always the same."""
    rate: Any = field(default=0.0, validator=checks.check(_rate_reason))
    """``open`` only: frames per second of all clients together; or ``"80%"`` of what one plugin of the first group
    processes at the most, which is measured before."""
    calibrate_s: float = field(default=3.0, validator=checks.positive_seconds)
    """How long that takes."""
    clients: int = field(default=1, validator=checks.whole(1, 256))
    """Processes that send."""
    call: Call = field(default="many", validator=checks.one_of(*get_args(Call)))
    """``many``: ``dispatch_many``; ``one``: ``dispatch_nowait``, one frame at a time (and ``batch`` of them are counted
    together in a closed loop); ``request``: one after the other, each with its reply."""
    batch: int = field(default=256, validator=checks.whole(1, 100_000))
    """Frames in one call of ``dispatch_many``: always so many with ``closed``, and at most with ``open``, of those that
    are due."""
    window: int = field(default=4096, validator=checks.whole(1, 1_000_000))
    """``closed`` only: how many frames of each client may be without outcome."""
    when_full: WhenFull = field(default="refuse", validator=checks.one_of(*get_args(WhenFull)))
    """What is done with frames for which there is no room: they are refused, and counted, or the client waits."""
    frame_bytes: int = field(default=200, validator=checks.whole(8, 16 * checks.MIB))
    """Length of the data of each frame, one CBOR map."""
    capture: str = field(default="", validator=checks.string)
    """A capture, the frames of which are sent instead, again and again: a path, or ``builtin:NAME``."""
    plugins: dict[str, PluginGroup] = field(factory=dict)
    """Groups of plugins by name."""
    first_id: int = field(default=70_001, validator=settings.plugin_id)
    """The id of the first plugin; the others count on from there."""
    seed: int = field(default=1, validator=checks.whole(0, 2**32))
    """Decides all that is random."""

    # How long.
    warm_up_s: float = field(default=2.0, validator=checks.seconds)
    duration_s: float = field(default=10.0, validator=checks.positive_seconds)
    """How long is measured."""
    drain_s: float = field(default=10.0, validator=checks.seconds)
    """How long the last frames may take after that."""
    rounds: int = field(default=3, validator=checks.whole(1, 1000))
    max_frames: int = field(default=100_000_000, validator=checks.whole(1, MAX_FRAMES))
    """Of each round, warm-up and all; it ends early then."""
    sample_s: float = field(default=0.5, validator=checks.number(0.05, 3600))
    """How often is looked at processes and mailboxes, in seconds; less often where looking would cost over 2 % of a
    processor."""

    settings: dict[str, Any] = field(factory=dict, validator=checks.plain_table)
    """Of the system, as in its configuration; a system that runs already keeps its own."""
    events: tuple[Event, ...] = ()
    limits: tuple[Limit, ...] = ()
    variants: dict[str, dict[str, Any]] = field(factory=dict)
    """Tables with keys as above, by name."""

    def __attrs_post_init__(self) -> None:
        """Refuse what does not go together."""
        if faults := list(self._faults()):
            raise ConfigError("Scenario", faults)

    @property
    def share(self) -> float | None:
        """The rate as a share of one plugin's maximum, if that is how it was given."""
        return float(self.rate[:-1]) / 100 if isinstance(self.rate, str) else None

    def system_settings(self) -> Settings:
        """Return the settings of a system for this scenario; what stands in the environment is not asked for."""
        return structure(self.settings, Settings, source="settings")

    def _faults(self) -> Iterator[Fault]:
        for name in self.plugins:
            yield from _group_name.faults(name, f"plugins.{checks.shown_key(name)}")
        for name in self.variants:
            yield from _variant_name.faults(name, f"variants.{checks.shown_key(name)}")
        yield from self._settings_faults()
        for name, group in self.plugins.items():
            if group.id is not None and group.count > 1:
                yield Fault(f"plugins.{checks.shown_key(name)}.id", "is for a group of one plugin only")
        for number, event in enumerate(self.events):
            yield from self._event_faults(event, f"events[{number}]")
        # Otherwise what goes together is seen in each variant.
        if not self.variants:
            yield from self._contradictions()

    def _contradictions(self) -> Iterator[Fault]:
        if self.mode == "open" and not self.rate:
            yield Fault("rate", "is needed with mode 'open'")
        if self.mode == "closed" and self.call != "request" and self.batch > self.window:
            yield Fault("batch", f"must be at most window ({self.window:,}) with mode 'closed', not {self.batch:,}")
        if self.mode == "open" and self.call == "request":
            yield Fault("call", "must be 'many' or 'one' with mode 'open': a request waits")
        if self.driver == TRAFFIC and self.mode == "none":
            yield Fault("mode", "must be 'open' or 'closed', unless there is a driver")
        if self.driver == TRAFFIC and not any(group.weight for group in self.plugins.values()):
            yield Fault("plugins", "must have a group that gets frames")

    def _settings_faults(self) -> Iterator[Fault]:
        try:
            if self.system_settings().system.transport != "unix":
                yield Fault("settings.system.transport", "must be 'unix': clients are processes of their own")
        except ConfigError as error:
            yield from (Fault(checks.joined("settings", fault.key), fault.reason) for fault in error.faults)

    def _event_faults(self, event: Event, key: str) -> Iterator[Fault]:
        if event.group not in self.plugins:
            yield Fault(f"{key}.group", f"must be one of the groups of plugins ({', '.join(self.plugins) or 'none'})")
        elif event.number > self.plugins[event.group].count:
            yield Fault(f"{key}.number", f"must be at most {self.plugins[event.group].count}, the number of plugins")


@attrs.frozen
class Plan:
    """A scenario as it is run: with its variants, or itself as the only one, without a name."""

    scenario: Scenario
    parts: Mapping[str, Scenario]
    folder: str
    """Where its file lies: its driver may be there, and relative paths begin there."""


def parse(text: str | bytes, source: str, folder: str, changes: Mapping[str, Any] | None = None) -> Plan:
    """Return the scenario that ``text`` spells, with ``changes`` (tables) before it.

    Raises :class:`ScenarioError` with all faults, those of variants too.
    """
    table = merged(parse_toml(text, source=source, error=ScenarioError), changes or {})
    scenario = structure(table, Scenario, source=source, error=ScenarioError)
    if not scenario.variants:
        return Plan(scenario, {"": scenario}, folder)
    faults: list[Fault] = []
    parts: dict[str, Scenario] = {}
    for name, over in scenario.variants.items():
        try:
            parts[name] = _part(table, over, source)
        except ScenarioError as error:
            key = f"variants.{checks.shown_key(name)}"
            faults += [Fault(checks.joined(key, fault.key), fault.reason) for fault in error.faults]
    if faults:
        raise ScenarioError(source, faults)
    return Plan(scenario, parts, folder)


def _part(table: Mapping[str, Any], over: Mapping[str, Any], source: str) -> Scenario:
    rest = {key: value for key, value in table.items() if key != "variants"}
    return structure(merged(rest, over), Scenario, source=source, error=ScenarioError)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with what ``over`` says: tables key by key, everything else whole."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result
