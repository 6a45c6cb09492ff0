"""What is done to a system: a program of operations, made of numbers that any source of chance can give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from nyx_plugins.actors import messages as m
from nyx_plugins.actors import questions

from .truth import DEPENDENT

if TYPE_CHECKING:
    from .run import Run

Draw = Callable[[int, int], int]
"""Gives a number between two others, both included."""

KINDS = (b".", b".", b".", b".", b"r", b"r", b"f", b"c", b"h")
"""What workers do with a frame: nothing, reply, fail, crash, hang."""
SEND = b"s"
"""It sends a frame to another plugin."""
TYPES = (0x52, 0x52, 0x52, 0x53, 0x54)
PERMISSIONS = ("data_access", "control")
CAPACITIES = (1, 2, 3, 8)


@attrs.frozen
class Op:
    """One operation: its name, numbers that say on what, and how much happens before the next."""

    name: str
    who: int
    plugin_id: int
    a: int
    b: int
    steps: int
    impatience: float

    def __str__(self) -> str:
        return f"{self.name} who={self.who} plugin={self.plugin_id} a={self.a} b={self.b}, then {self.steps} steps"


def load(run: Run, op: Op) -> None:
    """Load one plugin; sometimes its worker does not start."""
    if (client := run.client(op.who)) is None:
        return
    run.truth.revoked = {revoked for revoked in run.truth.revoked if revoked[0] != op.plugin_id}
    settings = run.plugin_settings(op.plugin_id, CAPACITIES[op.a % len(CAPACITIES)], broken=op.b % 16 == 0)
    asked = client.ask(questions.load(_settings(), [settings]))
    run.loads[op.plugin_id] += [asked] if asked is not None else []


def unload(run: Run, op: Op) -> None:
    """Unload one plugin."""
    if (client := run.client(op.who)) is not None:
        client.ask(questions.unload(_settings(), op.plugin_id, (0.0, 0.05, 1.0)[op.a % 3]))


def dispatch(run: Run, op: Op) -> None:
    """Offer frames."""
    _offer(run, op, wait=False)


def enter(run: Run, op: Op) -> None:
    """Offer frames that wait for room."""
    _offer(run, op, wait=True)


def _offer(run: Run, op: Op, wait: bool) -> None:
    client = run.client(op.who)
    if client is None:
        return
    frames = [_frame(run, _plugin_of(op, place), op.b + 7 * place) for place in range(1 + op.a % 7)]
    if op.b % 2 and client.usable:
        client.dispatch_many(frames, wait)
        return
    for frame in frames:
        if client.usable:
            client.dispatch(*frame, wait)


def _plugin_of(op: Op, place: int) -> int:
    """Some offers are for all plugins in turns."""
    return 1 + (op.plugin_id - 1 + place) % 3 if op.b % 3 == 0 else op.plugin_id


def _frame(run: Run, plugin_id: int, number: int) -> tuple[int, int, bytes, m.Extra | None]:
    sends = plugin_id in DEPENDENT and number % 3 == 0
    kind = SEND if sends else KINDS[number * 5 % len(KINDS)]
    return plugin_id, TYPES[number % len(TYPES)], kind, _extra(run, number)


def _extra(run: Run, number: int) -> m.Extra | None:
    """Some frames have a key, some an end of their time, some both."""
    key = (None, None, 1, 2, 3)[number % 5]
    expires_at_ms = 0 if number % 7 else run.world.now_ms + (1, 500, 2000)[number % 3]
    return m.Extra(key, expires_at_ms) if key or expires_at_ms else None


def redeliver(run: Run, op: Op) -> None:
    """Deliver dead letters again: all of a plugin, or some."""
    client = run.client(op.who)
    if client is None:
        return

    def listed(inquiry: Any) -> None:
        if inquiry._error is None:
            client.redeliver(inquiry.result()[:: 1 + op.a % 2])

    client.ask(questions.letters_behind(op.plugin_id, ()), listed)


def drop(run: Run, op: Op) -> None:
    """Drop dead letters for good."""
    client = run.client(op.who)
    if client is None:
        return

    def done(inquiry: Any) -> None:
        if inquiry._error is None:
            run.truth.dropped(op.plugin_id)

    run.truth.drop_asked(op.plugin_id)
    client.ask(questions.drop_dead_letters(op.plugin_id, None), done)


def revoke(run: Run, op: Op) -> None:
    """Take a permission away: when the answer is there, no frame that needs it is accepted any more."""
    client = run.client(op.who)
    if client is None:
        return
    permission = PERMISSIONS[op.a % len(PERMISSIONS)]
    run.changes += 1
    mine, loads = run.changes, len(run.loads[op.plugin_id])
    # A grant that was asked for earlier, by who has sent nothing for a while, may come later; a load, which brings
    # all permissions, may wait for the end of the plugin whose permission was taken.
    rivals = (*run.grants[op.plugin_id, permission], *run.loads[op.plugin_id])
    is_alone = all(asked.inquiry.done for asked in rivals)

    def done(inquiry: Any) -> None:
        # Where the answer was lost, what comes to be answered is a repetition: others may have changed it since.
        is_last = run.changes == mine and len(run.loads[op.plugin_id]) == loads
        if is_alone and is_last and inquiry._error is None:
            run.truth.revoked.add((op.plugin_id, permission))

    client.ask(questions.change_permission(_settings(), op.plugin_id, permission, False), done)


def grant(run: Run, op: Op) -> None:
    """Give a permission back."""
    if (client := run.client(op.who)) is not None:
        permission = PERMISSIONS[op.a % len(PERMISSIONS)]
        run.changes += 1
        run.truth.revoked.discard((op.plugin_id, permission))
        asked = client.ask(questions.change_permission(_settings(), op.plugin_id, permission, True))
        run.grants[op.plugin_id, permission] += [asked] if asked is not None else []


def pause(run: Run, op: Op) -> None:
    """Pause a plugin, or let it go on."""
    if (client := run.client(op.who)) is not None:
        client.ask(questions.pause(_settings(), op.plugin_id, op.a % 2 == 0))


def reset(run: Run, op: Op) -> None:
    """Bring a plugin back that was given up."""
    if (client := run.client(op.who)) is not None:
        client.ask(questions.reset(_settings(), op.plugin_id))


def swap(run: Run, op: Op) -> None:
    """Put another version in the place of a plugin, or the first one again; workers fail at some of the steps."""
    if (client := run.client(op.who)) is not None:
        bundle = run.bundles / f"{op.plugin_id}{'b' if op.a % 2 else ''}"
        client.ask(questions.swap(_settings(), op.plugin_id, bundle, True, False, (0.5, 5.0)[op.b % 2]))


def scale(run: Run, op: Op) -> None:
    """Run a plugin in more workers or fewer: only where there is one, or keys, is any order promised."""
    if (client := run.client(op.who)) is not None:
        run.truth.unordered.add(op.plugin_id)
        client.ask(questions.scale(_settings(), op.plugin_id, 1 + op.a % 3))


def look(run: Run, op: Op) -> None:
    """Ask what changes nothing."""
    if (client := run.client(op.who)) is not None:
        asks = (
            questions.plugin_stats(op.plugin_id),
            questions.dispatch_stats(),
            questions.registration(op.plugin_id),
            questions.registrations(),
        )
        client.ask(asks[op.a % len(asks)])


def join(run: Run, op: Op) -> None:
    """Another client comes."""
    if len(run.listening()) < 5:
        run.join()


def leave(run: Run, op: Op) -> None:
    """A client says goodbye."""
    if (client := run.client(op.who)) is not None:
        client.close()


def stall(run: Run, op: Op) -> None:
    """A client stops reading and sending, or goes on."""
    living = run.listening()
    if living:
        process = living[op.who % len(living)].process
        process.stalled = not process.stalled


def kill(run: Run, op: Op) -> None:
    """Kill -9 of some process, or of several, at once or in the middle of what they do next."""
    roles = run.mortal
    for place in range(1 + (op.b % 5 == 0)):
        found = run.world.living(roles[(op.who + place) % len(roles)])
        if not found:
            continue
        process = found[op.a % len(found)]
        if op.b % 3:
            process.bomb = 1 + op.b % 17
        else:
            run.world.kill(process)


def reboot(run: Run, op: Op) -> None:
    """Everything is killed, or the machine itself ends, and the next system starts."""
    run.reboot(machine=op.b % 3 == 0)


Do: dict[str, Callable[[Any, Op], None]] = {
    action.__name__: action
    for action in (
        load,
        unload,
        dispatch,
        enter,
        redeliver,
        drop,
        revoke,
        grant,
        pause,
        reset,
        swap,
        scale,
        look,
        join,
        leave,
        stall,
        kill,
        reboot,
    )
}
OFTEN = (
    *["load"] * 6,
    *["unload"] * 3,
    *["dispatch"] * 14,
    *["enter"] * 6,
    *["kill"] * 7,
    *["pause"] * 2,
    *["reset"] * 2,
    *["swap"] * 2,
    "scale",
    *["look"] * 2,
    *["redeliver"] * 3,
    "drop",
    *["revoke", "grant", "join", "join", "leave", "stall", "stall"],
)

LETTERS = (
    *["load"] * 3,
    *["dispatch"] * 6,
    *["enter"] * 3,
    *["redeliver"] * 6,
    *["kill"] * 4,
    *["unload", "reset", "swap", "join", "pause", "drop"],
)
"""What is about dead letters, most often."""
SENDS = (
    *["load"] * 5,
    *["dispatch"] * 8,
    *["enter"] * 4,
    *["kill"] * 4,
    *["unload", "scale", "swap", "revoke", "grant", "join"],
)
"""What is about frames between plugins."""
THEMES = (OFTEN, LETTERS, OFTEN, SENDS)
ON_DISK = (
    *["load"] * 8,
    *["dispatch"] * 12,
    *["enter"] * 4,
    *["kill"] * 5,
    *["reboot"] * 3,
    *["unload"] * 2,
    *["swap", "scale", "pause", "reset", "redeliver", "redeliver", "drop", "join", "stall"],
)
"""With the death of the whole system, where frames are kept on the disk."""


def make_op(draw: Draw, names: Sequence[str]) -> Op:
    """Make one of these operations, of numbers that ``draw`` gives."""
    name = names[draw(0, len(names) - 1)]
    steps = (0, 1, 3, 8, 20, 60)[draw(0, 5)]
    impatience = (0.0, 0.0, 0.02, 0.3)[draw(0, 3)]
    return Op(name, draw(0, 11), 1 + draw(0, 4) % 3, draw(0, 11), draw(0, 59), steps, impatience)


def make_program(draw: Draw, most: int = 40, names: Sequence[str] = OFTEN) -> list[Op]:
    """Make a program: it begins with the load of a plugin, most often."""
    first = [attrs.evolve(make_op(draw, ["load"]), plugin_id=1, steps=60)] if draw(0, 9) else []
    return first + [make_op(draw, names) for _ in range(draw(0, most))]


def _settings() -> Any:
    from .run import SETTINGS

    return SETTINGS
