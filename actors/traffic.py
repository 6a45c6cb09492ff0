"""The frames of one session: which routes there are, who has credit, who waits for room, what came of each frame.

Pure and not thread-safe: its session holds the lock, and wakes whoever sends after each call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ..config.errors import NyxPluginError, fresh
from ..plugins.errors import DispatchTimeout, FateUnknown, MailboxFull, PluginNotRegistered, SystemStopped
from ..plugins.negotiation import Agreement
from . import messages as m
from ._thespian import Address
from .admission import AT_REST, STOPPING, Admitted
from .answers import ANSWERS
from .channel import Channel
from .frame_rules import FrameRules
from .gate import Gate
from .outbox import Outbox
from .receipt import OutcomeKind, Receipt
from .results import DeadLetter
from .runs import Run, send_in_runs
from .series import Piece, Sendable
from .stretch import Stretch
from .waiting import Waiter


class Traffic:
    """What the session ``session`` may send, has sent and is to send; receipts report to ``changed``."""

    def __init__(
        self, session: int, rules: FrameRules, changed: threading.Condition, supervisor: Address = None
    ) -> None:
        self.routes: dict[int, m.Route] = {}
        self.version = -1
        """Of the routes; below 0 as long as nobody has told of any."""
        self.dispatcher_epoch = 0
        """Of the dispatcher that is talked to; what older ones have said is not heard any more."""
        self.stopped: SystemStopped | None = None
        """Why nothing is sent any more."""
        self.is_stopping = False
        """Whether the system stops, which is why there are fewer and fewer plugins."""
        self.lost = False
        """Whether frames were under way when the system stopped."""
        self._channels: dict[int, Channel] = {}
        self.outbox = Outbox(session, self._channels)
        self._session = session
        self._rules = rules
        self._supervisor = supervisor
        self._gate = Gate(self.routes, rules)
        self._changed = changed

    def check(self) -> None:
        """Raise why nothing is sent any more, if so."""
        if self.stopped is not None:
            raise fresh(self.stopped)

    # Sending.

    def offer(self, frame_type: int, header: bytes, extra: m.Extra | None = None) -> Receipt:
        """Check a frame, spend a credit, and queue it. Raises what refuses it."""
        admitted = self._admit(frame_type, header)
        channel = self._channels[admitted.route.plugin_id]
        try:
            return self._accept(channel, frame_type, header, extra, admitted.agreement, admitted.data_length)
        except MailboxFull as full:
            self.outbox.refuse(full, channel.plugin_id)
            raise

    def enter(
        self, frame_type: int, header: bytes, extra: m.Extra | None = None, is_awaited: bool = True
    ) -> Receipt | Waiter:
        """Queue a frame, or else let it wait for room behind those who do already. Raises what refuses it.

        ``is_awaited``: somebody waits for its acceptance, and not for its outcome alone.
        """
        admitted = self._admit(frame_type, header)
        channel = self._channels[admitted.route.plugin_id]
        if not channel.waiting:
            try:
                receipt = self._accept(channel, frame_type, header, extra, admitted.agreement, admitted.data_length)
            except MailboxFull:
                pass
            else:
                self._await(channel, is_awaited)
                return receipt
        waiter = Waiter(channel.plugin_id, frame_type, header, extra, admitted.agreement, admitted.data_length)
        channel.waiting.join(waiter)
        return waiter

    def offer_many(self, frames: Iterable[Sendable]) -> list[Piece]:
        """Offer frames one after the other; one receipt or error for each, or several receipts in a stretch."""
        return send_in_runs(frames, self._gate, self.offer, self._accept_run)

    def enter_many(self, frames: Iterable[Sendable]) -> list[Piece]:
        """Likewise, where those that find no room wait in line."""
        return send_in_runs(frames, self._gate, self.enter, self._enter_run)

    def leave(self, waiter: Waiter) -> None:
        """Let it wait no longer. Idempotent."""
        channel = self._channels[waiter.plugin_id]
        if channel.waiting.leave(waiter):
            # Who is behind may fit where this one did not, or the room goes to whom it was kept from.
            self._let_in(channel)
            self._give_back(channel, channel.recall(0))

    def too_late(self, waiter: Waiter, timeout: float) -> DispatchTimeout:
        """Make, and count, the error of one who has waited in vain."""
        full = self._channels[waiter.plugin_id].full()
        late = DispatchTimeout(waiter.plugin_id, f"room in its mailbox ({full})", timeout)
        self.outbox.refuse(late, waiter.plugin_id)
        return late

    def outstanding(self) -> dict[int, int]:
        """How many frames have no outcome yet, by plugin."""
        return {c.plugin_id: c.outstanding for c in self._channels.values() if c.outstanding}

    def stop(self, stopped: SystemStopped) -> None:
        """Nothing is sent or received any more: end every frame and every wait."""
        self.stopped = stopped
        self.routes.clear()
        self._gate.changed()
        for channel in self._channels.values():
            for waiter in channel.waiting:
                channel.waiting.leave(waiter)
                waiter.fail(stopped)
            self._lose(channel, stopped)

    def _lose(self, channel: Channel, stopped: SystemStopped) -> None:
        """Refuse what was never sent; of the rest nobody will say any more what became of it."""
        unknown = FateUnknown(channel.plugin_id, stopped.reason)
        for receipt in channel.abandon():
            self.lost = True
            if receipt.seq > channel.sent_seq:
                receipt._refuse(stopped)
            else:
                receipt._lose(unknown)

    def _admit(self, frame_type: int, header: bytes) -> Admitted:
        self.check()
        try:
            return self._gate.admit(frame_type, header)
        except PluginNotRegistered as unknown:
            error = SystemStopped(STOPPING) if self.is_stopping else unknown
            self.outbox.refuse(error, unknown.plugin_id)
            raise error from None
        except NyxPluginError as error:
            self.outbox.refuse(error, getattr(error, "plugin_id", None))
            raise

    def _enter_run(self, run: Run) -> Stretch | None:
        channel = self._channels[run.plugin_id]
        if channel.waiting:
            return None
        self._await(channel)
        return self._accept_run(run)

    def _accept_run(self, run: Run) -> Stretch | None:
        """Accept the first ones of a run, as many as there is room for."""
        channel = self._channels[run.plugin_id]
        stretch = channel.offer_run(run, self._changed)
        if stretch is not None:
            self.outbox.note_frames(channel)
        return stretch

    def _accept(
        self,
        channel: Channel,
        frame_type: int,
        header: bytes,
        extra: m.Extra | None,
        agreement: Agreement | None,
        data_length: int,
    ) -> Receipt:
        try:
            receipt = channel.offer(frame_type, header, self._changed, extra, agreement, data_length)
        except MailboxFull:
            self._ask_for_credit(channel)
            raise
        self.outbox.note_frames(channel)
        return receipt

    def _await(self, channel: Channel, acceptance: bool = True) -> None:
        """Somebody waits for what is being sent to it, or even for its acceptance."""
        channel.is_awaited = channel.is_awaited or acceptance
        self.outbox.is_awaited = True

    def _ask_for_credit(self, channel: Channel) -> None:
        missing = channel.missing_credit()
        if missing:
            channel.wants_credit = True
            self.outbox.to_dispatcher(m.WantCredit(self._session, channel.plugin_id, missing))

    # Those who wait for room.

    def _let_in(self, channel: Channel) -> None:
        """Let in those who wait, first come, first served, as far as there is room now."""
        if not channel.waiting:
            return
        while (waiter := channel.waiting.first) is not None and self._try(channel, waiter):
            channel.waiting.leave(waiter)
        self._give_back(channel, channel.recall(0))

    def _try(self, channel: Channel, waiter: Waiter) -> bool:
        """Whether there is room for this one; that nothing else is against it has been seen to."""
        self._await(channel)
        of_frame = waiter.frame_type, waiter.header, waiter.extra
        try:
            waiter.succeed(self._accept(channel, *of_frame, waiter.agreement, waiter.data_length))
        except MailboxFull:
            return False
        return True

    def _turn_away(self, channel: Channel) -> None:
        """Refuse those who would wait in vain, now that the route is another."""
        for waiter in channel.waiting:
            try:
                waiter.agreement = self._admit(waiter.frame_type, waiter.header).agreement
            except NyxPluginError as error:
                channel.waiting.leave(waiter)
                waiter.fail(error)

    # Another dispatcher.

    def join(self, dispatcher: Address, epoch: int) -> None:
        """Talk to this dispatcher, the first one."""
        self.dispatcher_epoch = epoch
        self.outbox.join(dispatcher)

    def rejoin(self, dispatcher: Address, epoch: int) -> None:
        """The dispatcher was started again: tell it what the last one knew, and send again what may be lost with it."""
        if epoch <= self.dispatcher_epoch or self.stopped is not None:
            return
        self.dispatcher_epoch = epoch
        channels = self._channels.values()
        refused, leases = self.outbox.rejoin(dispatcher), {c.plugin_id: c.rejoin() for c in channels}
        epochs = {plugin_id: route.epoch for plugin_id, route in self.routes.items()}
        sent, dispatched = {c.plugin_id: c.sent_seq for c in channels}, sum(c.dispatched for c in channels)
        self.outbox.to_dispatcher(m.Rejoin(self._session, leases, epochs, sent, dispatched, refused))
        for channel in channels:
            self._resume(channel)

    def _resume(self, channel: Channel) -> None:
        if channel.waiting:
            self._ask_for_credit(channel)
        if channel.unsent_count:
            self.outbox.note_frames(channel)

    # Receiving.

    def note(self, message: m.SessionMessage) -> None:
        """Take in what concerns frames, routes and credit; anything else is not for here."""
        if isinstance(message, m.FROM_DISPATCHER) and message.dispatcher_epoch < self.dispatcher_epoch:
            return
        match message:
            case m.Accepted():
                self._channel(message.plugin_id).accept(message.ranges)
                self._confirm(message.confirm_to)
            case m.Settled():
                self._settled(message)
                self._confirm(message.confirm_to)
            case m.LastWords():
                self._hear_last_words(message)
            case m.Rejected():
                self._rejected(message)
            case m.RoutesChanged():
                self._change_routes(message)
            case m.CreditGranted():
                channel = self._channel(message.plugin_id)
                channel.grant(message.frames)
                self._let_in(channel)
            case m.CreditRecalled():
                channel = self._channel(message.plugin_id)
                self._give_back(channel, channel.recall(message.frames))

    def let_go(self) -> None:
        """Give back all credit that is not spent: nothing more will be sent."""
        for channel in self._channels.values():
            if channel.route is not None:
                # Else what comes back might go to whom it came from.
                self.outbox.to_dispatcher(m.WantCredit(self._session, channel.plugin_id, 0))
            self._give_back(channel, channel.let_go())

    def _confirm(self, source: Address) -> None:
        if source is not None:
            self.outbox.command(source, m.DeliverySeen(self._session, ANSWERS))

    def _settled(self, message: m.Settled) -> None:
        channel = self._channel(message.plugin_id)
        settled, owed = channel.settle(message.outcomes)
        channel.accept(message.accepted)
        if channel.route is not None and channel.route.handshake is not None:
            for receipt in settled:
                self._note_handshake(channel, receipt)
        self._give_back(channel, owed)
        self._let_in(channel)

    def _note_handshake(self, channel: Channel, receipt: Receipt) -> None:
        """From now on frames may follow, if the plugin agreed and is still the one that was asked."""
        is_of_now = receipt.agreement is not None and receipt.seq > channel.last_of_other_rules
        if is_of_now and receipt.result().kind is OutcomeKind.PROCESSED:
            self._gate.introduced.add(channel.plugin_id)

    def _forget_handshakes(self, plugin_id: int) -> None:
        """Other rules hold: what was agreed on, or is still under way, is no agreement on these."""
        self._gate.introduced.discard(plugin_id)
        self._channel(plugin_id).change_rules()

    def _rejected(self, message: m.Rejected) -> None:
        channel = self._channel(message.plugin_id)
        self._give_back(channel, sum(self._refuse(channel, *frame) for frame in message.frames))
        self._let_in(channel)

    def _refuse(self, channel: Channel, seq: int, error: BaseException) -> int:
        is_due_to_stop = self.is_stopping and isinstance(error, PluginNotRegistered)
        owed = channel.refuse(seq, SystemStopped(STOPPING) if is_due_to_stop else error)
        if owed is None:
            self.outbox.take_back(error)
            return 0
        self.outbox.refused_by_dispatcher(error)
        return owed

    def _give_back(self, channel: Channel, frames: int) -> None:
        if frames and channel.route is not None:
            epoch = channel.route.epoch
            self.outbox.to_dispatcher(m.ReturnCredit(self._session, channel.plugin_id, frames, epoch))

    def _change_routes(self, message: m.RoutesChanged) -> None:
        self._gate.changed()
        for plugin_id, drained in message.gone.items():
            self.routes.pop(plugin_id, None)
            self._forget_handshakes(plugin_id)
            self._close(self._channel(plugin_id), drained)
        for route in message.routes:
            before = self.routes.get(route.plugin_id)
            if before is not None and before.handshake != route.handshake:
                self._forget_handshakes(route.plugin_id)
            self.routes[route.plugin_id] = route
            self.is_stopping = self.is_stopping or route.stopping
            if route.state != AT_REST:
                self._open(self._channel(route.plugin_id), route)
        for plugin_id in {*message.gone, *(route.plugin_id for route in message.routes)} & self._channels.keys():
            self._turn_away(self._channels[plugin_id])
            self._let_in(self._channels[plugin_id])
        self.version = message.version

    def _open(self, channel: Channel, route: m.Route) -> None:
        channel.open(route)
        if channel.unsent_count:
            self.outbox.note_frames(channel)

    def _close(self, channel: Channel, drained: bool) -> None:
        """Refuse what was never sent. Of the rest a drained plugin actor has told, and of any other nobody will.

        What it has told may still be on its way, or have come too late for it: then the supervisor knows.
        """
        self.outbox.forget_frames(channel)
        error, outlives = self._why_gone(channel), self._outlives(channel)
        for receipt in channel.close():
            receipt._refuse(error)
            self.outbox.refuse(error, channel.plugin_id)
        in_doubt = channel.in_doubt()
        if in_doubt and drained:
            ask = m.AskLastWords(self._session, channel.plugin_id, in_doubt[-1].seq)
            self.outbox.command(self._supervisor, ask)
        elif in_doubt and not outlives:
            self._abandon(channel, in_doubt)

    def _hear_last_words(self, message: m.LastWords) -> None:
        channel, words = self._channel(message.plugin_id), message.words
        self._settled(m.Settled(message.plugin_id, words.finished))
        channel.accept((seq, seq) for seq in words.unfinished)
        silent = [receipt for receipt in channel.in_doubt(message.until) if receipt.seq not in words.unfinished]
        self._abandon(channel, silent)

    def _why_gone(self, channel: Channel) -> NyxPluginError:
        return SystemStopped(STOPPING) if self.is_stopping else PluginNotRegistered(channel.plugin_id)

    def _outlives(self, channel: Channel) -> bool:
        """Whether the next system goes on with what has no outcome: that stays so until this one has stopped."""
        return self.is_stopping and channel.route is not None and channel.route.durable

    def _abandon(self, channel: Channel, receipts: Iterable[Receipt]) -> None:
        error = self._why_gone(channel)
        for receipt in receipts:
            channel.forget(receipt)
            if receipt.accepted:
                receipt._settle(DeadLetter("its plugin actor was gone"))
            else:
                receipt._refuse(error)
                self.outbox.refuse(error, channel.plugin_id, submitted=True)

    def _channel(self, plugin_id: int) -> Channel:
        channel = self._channels.get(plugin_id)
        if channel is None:
            channel = self._channels[plugin_id] = Channel(plugin_id, self._rules.max_header_bytes)
        return channel
