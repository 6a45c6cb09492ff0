"""The promises, checked after each step, once all has settled, and once all is unloaded.

Their numbers are those of docs/architecture.md.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nyx_plugins.actors.admission import ACCEPTING
from nyx_plugins.actors.receipt import OutcomeKind
from nyx_plugins.actors.stages import GIVEN_UP, Stage
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.plugins.errors import MailboxFull, PermissionDenied, PluginNotLoaded, PluginNotRegistered
from nyx_plugins.plugins.header import split_header

from .client import Client, Frame
from .truth import IDEMPOTENT, MAX_DELIVERIES
from .world import Violation

if TYPE_CHECKING:
    from .run import Run


def check_step(run: Run) -> None:
    """What holds at any time. (What files and workers tell is checked where it happens: see truth.py.)"""
    if run.world.crashes:
        raise Violation(f"an actor ended by an exception of its own: {run.world.crashes[0]}")
    for plugin in run.supervisor.actor._roster.plugins.values():
        life = plugin.life
        was_silent = life.stage is Stage.UNDOING and not life.drained and life.error is None
        if was_silent or (plugin.actor is None and life.stage in GIVEN_UP):
            run.truth.given_up.add(life.directory)
    dispatcher = _actor(run, "dispatcher")
    for plugin_id, target in getattr(dispatcher, "_targets", {}).items():
        credit = target.ledger.statistics()
        if credit.free < 0:
            raise Violation(f"{credit.leased} of {credit.capacity} credits of plugin {plugin_id} are lent")


def check_settled(run: Run) -> None:
    """What holds when nothing is under way any more."""
    for client in run.listening():
        for frame in client.frames:
            _check_frame(run, client, frame)
        if not run.stopped:
            _check_credit(run, client)
    for entry in (entry for ring in run.truth.rings.values() for entry in ring.entries):
        times = run.truth.runs[entry.key]
        most = MAX_DELIVERIES if entry.key[0] in IDEMPOTENT else 1
        if entry.outcome in ("processed", "failed") and not 1 <= times <= most:
            raise Violation(f"frame {entry.key} is {entry.outcome}, and was run {times} times")
    _check_unfinished(run)
    _check_letters(run)
    _check_answers(run)


def _check_unfinished(run: Run) -> None:
    """What an earlier system has left without an outcome, and no worker has begun, is on the disk or a dead letter."""
    left = {split_header(frame.header, 1 << 32)[2] for each in run.truth.durable for frame in run.kept(each)}
    letters = {content.data for contents in run.letters for content in contents}
    for data, entries in run.truth.entries.items():
        last = entries[-1]
        is_left = last.outcome is None and run.truth.outlives(last) and not run.truth.runs[last.key] and not run.stopped
        if is_left and data not in left | letters and not run.truth.is_droppable(data, last):
            raise Violation(f"frame {last} is lost: it is neither on the disk nor among the dead letters")


def _check_letters(run: Run) -> None:
    """What is listed is what was dead-lettered, and neither delivered again nor dropped."""
    listed = Counter(content.data for contents in run.letters for content in contents)
    for data, entries in run.truth.entries.items():
        expected = run.truth.is_listed(data)
        if listed[data] > 1 or (expected is not None and listed[data] != expected and not run.stopped):
            raise Violation(f"frame {entries[-1]} is {listed[data]} times among the dead letters")


def _check_answers(run: Run) -> None:
    """What plugins were told of the frames that they have sent to others is what happened."""
    for data, answer in run.truth.answers.items():
        entries = run.truth.entries.get(data, [])
        if not isinstance(answer, NyxPluginError) and not entries:
            raise Violation(f"a plugin was told that {data!r} is accepted, and it was never in a mailbox")
        is_refusal = isinstance(answer, (MailboxFull, PermissionDenied, PluginNotLoaded, PluginNotRegistered))
        if is_refusal and entries and not run.stopped and not run.truth.is_given_up(entries[-1]):
            raise Violation(f"a plugin was told {answer!r} of {data!r}, and it is in a mailbox: {entries}")


def _check_frame(run: Run, client: Client, frame: Frame) -> None:
    """What a sender was told is what happened."""
    key, receipt = client.key(frame), frame.receipt
    if key is None or receipt is None:
        return
    entry = run.truth.accepted.get(key)
    if receipt.error is not None:
        if run.stopped:
            return
        if receipt.accepted:
            raise Violation(f"frame {key} was accepted and then refused: {receipt.error!r}")
        if entry is not None and not run.truth.is_given_up(entry):
            raise Violation(f"frame {key} was refused ({receipt.error!r}), and is in the mailbox: {entry}")
        return
    if entry is None:
        raise Violation(f"frame {key} is {receipt}, and was never in the mailbox")
    if run.truth.is_given_up(entry):
        return
    outcome = receipt.result()
    if entry.outcome is None and outcome.kind is OutcomeKind.DEAD_LETTERED:
        # Its mailbox is gone, with all that was not finished.
        return
    if str(outcome.kind) != entry.outcome:
        raise Violation(f"frame {key} is {outcome} for its sender, and {entry.outcome} in the mailbox")


def _check_credit(run: Run, client: Client) -> None:
    """No credit is lost on the way."""
    dispatcher = _actor(run, "dispatcher")
    for plugin_id, target in dispatcher._targets.items():
        channel = client.session._traffic._channels.get(plugin_id)
        lease = getattr(channel, "_lease", None)
        if lease is None or target.route.state not in ACCEPTING:
            continue
        lent = target.ledger.lease(client.session.id)
        if lent != lease.size:
            raise Violation(f"client {client.number} has {lease.size} credits for {plugin_id}, and was lent {lent}")
        if lease.outstanding:
            raise Violation(f"client {client.number} has spent {lease.outstanding} credits on no frame")


def check_empty(run: Run) -> None:
    """What holds when everything is unloaded: nothing is left."""
    if run.stopped:
        return
    left: dict[str, Any] = {
        "files": [str(path) for path in Path(run.runtime_dir, "plugins").glob("*")],
        "frames on the disk": [frame for plugin_id in run.truth.durable for frame in run.kept(plugin_id)],
        "routes": list(_actor(run, "dispatcher")._targets),
        "policies": list(_actor(run, "guard")._loads),
        "rows": list(_actor(run, "registry")._rows.all()),
        "plugins": list(run.supervisor.actor._roster._plugins),
        "processes": [str(p) for role in ("plugin", "worker", "loader") for p in run.world.living(role)],
    }
    found = {what: items for what, items in left.items() if items}
    if found:
        raise Violation(f"left behind when everything was unloaded: {found}")


def _actor(run: Run, role: str) -> Any:
    found = run.world.living(role)
    return found[-1].actor if found else None
