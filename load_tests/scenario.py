"""``Scenario``: what a load test does, read from TOML. Each key is documented here, with its unit and its range.

A scenario with ``variants`` does all of them in each round, one after the other, each on a system of its own: what a
variant says goes before what the scenario says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import attrs
from attrs import field

from nyx_plugins.config import checks, settings
from nyx_plugins.config.documents import structure
from nyx_plugins.config.errors import ConfigError, Fault
from nyx_plugins.config.settings import Settings

from .roles import PLUGIN_ACTOR, WORKER
from .rules import LARGEST

Mode = Literal["open", "closed", "none"]
Arrivals = Literal["poisson", "constant"]
Call = Literal["many", "one", "request"]
WhenFull = Literal["refuse", "wait"]
ShareOf = Literal["one plugin", "all plugins"]
Work = Literal["none", "sleep", "spin"]
Deed = Literal["stall", "spin", "flood", "kill", "swap", "load", "unload", "pause", "resume", "scale", "reset"]

MAX_PLUGINS = 1000
MAX_FRAMES = 1_000_000_000
WORK = "work"
"""The bundle of a plugin that does as its group says."""
TRAFFIC = "nyx_plugins.load_tests.traffic:drive"
"""The driver of scenarios that name none: clients send frames."""

ORDERS: tuple[Deed, ...] = ("stall", "spin", "flood")
"""What the plugin of the bundle ``work`` does when it is told to."""
OF_PLUGINS = (WORKER, PLUGIN_ACTOR)
MORTAL = (*OF_PLUGINS, "dispatcher", "registry", "guard")
MOST_PERCENT = 100_000

_share = re.compile(r"(\d+(?:\.\d+)?)%")
_group_name = checks.text("[a-z0-9_-]{1,32}", "the name of a group of plugins ([a-z0-9_-]{1,32})")
_variant_name = checks.text(r"[^\s\0](?:[^\0\n]{0,38}[^\s\0])?", "the name of a variant, up to 40 characters")
_driver = checks.text(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "'module:function'")
_count = checks.whole(1, MAX_PLUGINS)


def _rate_reason(value: object) -> str | None:
    if isinstance(value, str):
        found = _share.fullmatch(value)
        if found is not None and 0 < float(found[1]) <= MOST_PERCENT:
            return None
        return f"must be like '80%' if it is text, above 0% and up to {MOST_PERCENT:,}%, not {checks.shown(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10_000_000:
        return None
    return f"must be frames per second, 0 to 10,000,000, or a share such as '80%', not {checks.shown(value)}"


def _settings_faults(value: object) -> Iterator[Fault]:
    if faults := checks.plain_table.faults(value):
        yield from faults
        return
    assert isinstance(value, dict)
    try:
        if structure(value, Settings, source="settings").system.transport != "unix":
            yield Fault("system.transport", "must be 'unix': clients are processes of their own")
    except ConfigError as error:
        yield from error.faults


def _names(check: checks.Check) -> checks.Check:
    """A table with such names; what is in it is checked by its own class."""
    return checks.table_of(check, checks.Check(lambda item: ()))


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


def _deeds(*deeds: Deed) -> dict[str, tuple[Deed, ...]]:
    return {"deeds": deeds}


@attrs.frozen
class Event:
    """Something that happens while frames are sent."""

    at_s: float = field(validator=checks.number(-86_400, 86_400))
    """Seconds after the measured time has begun; before it ends. Less than 0 is in the warm-up."""
    do: Deed = field(validator=checks.one_of(*get_args(Deed)))
    """``stall`` (the handler sleeps), ``spin`` (it burns time of a processor) and ``flood`` (it emits frames as fast as
    it can) are for ``work`` plugins; ``kill`` is for any role; the others are what an operator does."""
    group: str = field(default=WORK, validator=_group_name)
    number: int = field(default=1, validator=checks.whole(0, MAX_PLUGINS))
    """Which of the group, from 1 on; 0 is all."""
    for_s: float | None = field(
        default=None, validator=checks.optional(checks.seconds), metadata=_deeds(*ORDERS, "pause")
    )
    """How long it lasts, 1 second if nothing is said: of ``stall``, ``spin`` and ``flood``, and of ``pause`` until
    ``resume`` if it is not 0."""
    role: str | None = field(default=None, validator=checks.optional(checks.one_of(*MORTAL)), metadata=_deeds("kill"))
    """Who is killed: ``worker``, if nothing is said, or ``plugin actor`` (of a plugin), ``dispatcher``, ``registry`` or
    ``guard``. Nothing outlives the others."""
    instances: int | None = field(default=None, validator=checks.optional(settings.instances), metadata=_deeds("scale"))
    """How many there are to be, 1 if nothing is said."""
    every_s: float | None = field(default=None, validator=checks.optional(checks.positive_seconds))
    """If it is there, it happens again and again, so many seconds after the last time ended."""

    def __attrs_post_init__(self) -> None:
        """Refuse what this deed would not look at."""
        given = {each.name: each.metadata["deeds"] for each in attrs.fields(Event) if "deeds" in each.metadata}
        faults = [
            Fault(name, f"is for {' and '.join(map(repr, deeds))} only, not for {self.do!r}")
            for name, deeds in given.items()
            if getattr(self, name) is not None and self.do not in deeds
        ]
        if faults:
            raise ConfigError("Event", faults)

    @property
    def lasts_s(self) -> float:
        """How long it lasts."""
        return 1.0 if self.for_s is None else self.for_s


@attrs.frozen
class Limit:
    """What is asked of a metric, in the median of all rounds: alone, or compared with another."""

    metric: str = field(validator=checks.string)
    at_least: float | None = field(default=None, validator=checks.optional(checks.number(-LARGEST, LARGEST)))
    at_most: float | None = field(default=None, validator=checks.optional(checks.number(-LARGEST, LARGEST)))
    over: str = field(default="", validator=checks.string)
    """Another metric, by which it is divided first."""
    minus: str = field(default="", validator=checks.string)
    """Another metric, which is taken from it first."""
    from_plugins: int = field(default=0, validator=checks.whole(0, MAX_PLUGINS))
    """With fewer plugins it is left out: what all plugins share would be divided among too few, for example."""
    what: str = field(default="", validator=checks.string)
    """In words; the names of the metrics, if it is empty."""

    def __attrs_post_init__(self) -> None:
        """Refuse a limit that limits nothing, or that is compared with two others."""
        if (self.at_least is None) == (self.at_most is None):
            raise ConfigError("Limit", [Fault("", "must have at_least or at_most, and not both")])
        if self.over and self.minus:
            raise ConfigError("Limit", [Fault("", "must have over or minus, and not both")])


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
    """``open`` only, and refused with ``closed``: frames per second of all clients together; or ``"80%"`` of what is
    processed at the most, which is measured before, once for all variants in a round, in a closed loop with this
    ``call``, ``batch`` and ``window``."""
    share_of: ShareOf = field(default="one plugin", validator=checks.one_of(*get_args(ShareOf)))
    """Whose maximum that is: of one plugin of the first group, or of all plugins, each of which gets its share."""
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
    """Of a closed loop, and while a maximum is measured: how many frames of each client may be without outcome."""
    when_full: WhenFull = field(default="refuse", validator=checks.one_of(*get_args(WhenFull)))
    """What is done with frames for which there is no room: they are refused, and counted, or the client waits."""
    frame_bytes: int = field(default=200, validator=checks.whole(8, 16 * checks.MIB))
    """Length of the data of each frame, one CBOR map."""
    capture: str = field(default="", validator=checks.string)
    """A capture, the frames of which are sent instead, again and again: a path, or ``builtin:NAME``."""
    plugins: dict[str, PluginGroup] = field(factory=dict, validator=_names(_group_name))
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

    settings: dict[str, Any] = field(factory=dict, validator=checks.Check(_settings_faults))
    """Of the system, as in its configuration; a system that runs already keeps its own."""
    events: tuple[Event, ...] = ()
    limits: tuple[Limit, ...] = ()
    variants: dict[str, dict[str, Any]] = field(factory=dict, validator=_names(_variant_name))
    """Tables with keys as above, by name."""

    @property
    def share(self) -> float | None:
        """The rate as a share of one plugin's maximum, if that is how it was given."""
        return float(self.rate[:-1]) / 100 if isinstance(self.rate, str) else None

    def system_settings(self) -> Settings:
        """Return the settings of a system for this scenario; what stands in the environment is not asked for."""
        return structure(self.settings, Settings, source="settings")


@attrs.frozen
class Plan:
    """A scenario as it is run: with its variants, or itself as the only one, without a name."""

    scenario: Scenario
    parts: Mapping[str, Scenario]
    folder: str
    """Where its file lies: its driver may be there, and relative paths begin there."""


def bundle_of(group: PluginGroup, base: Path) -> str:
    """Return the bundle of a group that is not :data:`WORK`; relative paths begin in ``base``."""
    is_path = not group.bundle.startswith("builtin:")
    return str(base / Path(group.bundle).expanduser()) if is_path else group.bundle


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with what ``over`` says: tables key by key, everything else whole; an empty one takes away."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping) and value
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result
