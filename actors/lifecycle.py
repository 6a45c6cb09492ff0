"""The life of one plugin as a state machine: events in, directives out, nothing started.

The supervisor feeds it what happened and does what it says. Loading is a row of steps; whatever step fails, all that
was done before is undone, and only then is the load answered. Unloading drains and then runs the same undoing.
"""

from __future__ import annotations

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import PluginFailed, PluginNotLoaded, PluginQuarantined
from ..plugins.manifest import Manifest
from ..plugins.policy import Policy
from .directives import Directive, Do, Publish, RestartIn
from .events import EventKind
from .messages import LoadSpec, Registration, Route
from .stages import ENDING, GIVEN_UP, LOADING, Stage
from .supervision import ChildSpec, GiveUp, Restart, decide
from .undoing import Undo, Undoing


@attrs.define(eq=False)
class PluginLife:
    """One plugin from its load to its end. Every method is an event and returns what to do, in order."""

    spec: LoadSpec
    child: ChildSpec
    """How its plugin actor is restarted, and with it its worker: their restarts count together."""
    stage: Stage = Stage.PREPARING
    manifest: Manifest | None = None
    digest: str = ""
    signed_by: str = ""
    directory: str = ""
    bundle_directory: str = ""
    """Where the bundle's copy is, if a swap has put it elsewhere than into ``directory``."""
    former_directory: str = ""
    """Likewise, of the version before this one."""
    policy: Policy | None = None
    registration: Registration | None = None
    route: Route | None = None
    error: NyxPluginError | None = None
    drained: bool = False
    is_paused: bool = False
    quarantine_reason: str = ""
    restarts: tuple[float, ...] = ()
    """When the plugin actor and its worker were restarted lately (monotonic seconds)."""
    leftovers: str = ""
    """Why the next plugin actor is to dead-letter what it finds unfinished. Mostly empty: it is processed."""
    failure: str = ""
    """Why it has failed, if it has."""
    reset_error: NyxPluginError | None = None
    keep_row: bool = False
    """Whether the registration outlives the plugin, as when the whole system stops."""
    _actor_alive: bool = False
    _windings_up: int = 0
    """How many plugin actors it had that were to run no worker, and ended."""
    _is_last: bool = False
    """Whether no other plugin actor follows the present one while it is unloaded."""
    _is_silent: bool = False
    """Whether the plugin actor was killed because it did not drain in time."""
    _unloading: bool = False
    _resetting: bool = False
    _is_leaving: bool = False
    """Whether its plugin actor makes room for another: what is said of that one says nothing of the next."""
    _last_words: str = ""
    _asked: bool = False
    """Whether the registry was asked for a row, and has not refused it."""
    _undoing: Undoing = attrs.field(factory=Undoing)

    @property
    def plugin_id(self) -> int:
        """The id asked for, or else the manifest's; 0 as long as neither is known."""
        if self.spec.plugin_id is not None:
            return self.spec.plugin_id
        return self.manifest.id if self.manifest else 0

    @property
    def state(self) -> str:
        """The state as users know it: the steps of loading and of ending count as one each."""
        if self.stage in LOADING:
            return "starting"
        return "draining" if self.stage in ENDING else str(self.stage)

    @property
    def given_up(self) -> str:
        """Why no worker runs any more; empty as long as one does, or will."""
        return self.quarantine_reason or self.failure

    @property
    def is_forsaken(self) -> bool:
        """Whether nobody has told, or will, what becomes of the frames that it has left on the disk."""
        return self._unloading and not self.drained and not self.keep_row

    @property
    def row(self) -> Registration | None:
        """What a registry that is started again has to know of it: nothing once that has been taken back."""
        is_gone = self.stage is Stage.UNDOING and Undo.ROW not in self._undoing.pending
        return None if is_gone or self.registration is None else attrs.evolve(self.registration, state=self.state)

    # Loading, step by step.

    def bundle_prepared(self, manifest: Manifest, digest: str, signed_by: str = "") -> list[Directive]:
        """The bundle's copy is in place."""
        if self.stage is not Stage.PREPARING:
            return []
        self.manifest, self.digest, self.signed_by = manifest, digest, signed_by
        self.stage = Stage.WAITING
        return [Do.AWAIT_DEPENDENCIES]

    def dependencies_met(self) -> list[Directive]:
        """All is there that it requires, and that is optional and was to be loaded with it."""
        if self.stage is not Stage.WAITING:
            return []
        self.stage = Stage.DECIDING
        return [Do.DECIDE_POLICY]

    def policy_decided(self, policy: Policy) -> list[Directive]:
        """The guard's verdict."""
        if self.stage is not Stage.DECIDING:
            return [Do.FORGET_POLICY]
        self.policy = policy
        self.stage = Stage.REGISTERING
        self._asked = True
        return [Do.REGISTER]

    def registered(self, registration: Registration) -> list[Directive]:
        """The row is in the registry."""
        self.registration = registration
        if self.stage is not Stage.REGISTERING:
            # It is taken back already: that was sent after what is answered now.
            return []
        self.stage = Stage.STARTING
        self._actor_alive = True
        return [Do.SPAWN_ACTOR]

    def actor_ready(self, route: Route) -> list[Directive]:
        """The plugin actor has a mailbox and a worker that is ready (also after a restart)."""
        if self.stage is Stage.STARTING:
            self.stage = Stage.OPENING
        elif self.stage is not Stage.RESTARTING or self._is_leaving:
            return []
        self.route = route
        return [Do.SET_ROUTE]

    def route_set(self, leads_to_actor: bool = True) -> list[Directive]:
        """The dispatcher has done what the last SET_ROUTE said, which may have been about an actor that has ended."""
        if self._actor_alive and not self.given_up and not self._is_leaving:
            self.leftovers = ""
        match self.stage:
            case Stage.OPENING:
                self.stage = Stage.READY
                return [Do.NOTE_STATE, Publish(EventKind.LOADED), Publish(EventKind.READY), Do.ANSWER_LOAD]
            case Stage.RESTARTING if self._actor_alive and leads_to_actor and not self._is_leaving:
                return self._up_again("reset" if self._resetting else "plugin actor")
            case Stage.CLOSING:
                self.stage = Stage.DRAINING
                return [Do.DRAIN]
        return []

    def step_failed(self, error: NyxPluginError, refused: bool = False) -> list[Directive]:
        """A step of loading failed: undo all that was done, and what may yet be unless it was ``refused``."""
        if self.stage not in LOADING:
            return []
        self.error = error
        self._asked = self._asked and not refused
        return self._take_back()

    # Running.

    def worker_crashed(
        self, reason: str, restart_in_s: float | None, restarts: tuple[float, ...] = (), given_up: str = ""
    ) -> list[Directive]:
        """The worker ended; its plugin actor starts it again, or has given up, for this reason if it has one.

        ``restarts`` are the recent ones.
        """
        crashed = Publish(EventKind.CRASHED, reason)
        if self._is_leaving:
            return [crashed]
        self.restarts = restarts or self.restarts
        if self.stage in LOADING or self.stage in ENDING or self.stage is Stage.QUARANTINED:
            return [crashed]
        if restart_in_s is None:
            why = f" ({given_up})" if given_up else ""
            return [crashed, *self._fail(f"worker not restarted: {reason}{why}")]
        self.stage = Stage.RESTARTING
        return [crashed, Do.NOTE_STATE]

    def worker_restarted(self) -> list[Directive]:
        """The plugin actor has a new worker that is ready."""
        if self.stage is not Stage.RESTARTING or self._is_leaving:
            return []
        return self._up_again("worker")

    def paused(self, paused: bool) -> list[Directive]:
        """The plugin actor hands out no more frames, or goes on."""
        self.is_paused = paused
        if self.stage in (Stage.READY, Stage.PAUSED):
            self.stage = Stage.PAUSED if paused else Stage.READY
            return [Do.NOTE_STATE]
        return []

    def threshold_passed(self, reason: str) -> list[Directive]:
        """The worker has broken its bounds too often: it ends, and takes no more frames until it is loaded anew."""
        if self.stage in LOADING:
            return self.step_failed(PluginQuarantined(self.plugin_id, reason))
        if self.stage in ENDING or self.stage in GIVEN_UP:
            return []
        self.stage, self.quarantine_reason, self.leftovers = Stage.QUARANTINED, reason, "quarantined"
        quarantined: list[Directive] = [
            Do.QUARANTINE,
            Do.NOTE_STATE,
            *self._wind_up(),
            Do.SET_ROUTE,
            Publish(EventKind.QUARANTINED, reason),
        ]
        return [*quarantined, *self._reset_done(PluginQuarantined(self.plugin_id, reason))]

    def actor_exited(self, now: float, random: float) -> list[Directive]:
        """The plugin actor's process is gone."""
        self._actor_alive = self._is_leaving = False
        if self.stage in LOADING:
            return self.step_failed(PluginFailed(self.plugin_id, "its plugin actor ended", "start"))
        if self.stage is Stage.UNDOING:
            return self._undone(Undo.ACTOR)
        if self.stage in ENDING:
            return self._drain_again(now, random)
        if self._resetting and self.stage is Stage.RESTARTING:
            return self.restart_due()
        crashed = Publish(EventKind.CRASHED, "plugin actor ended")
        if self.stage in GIVEN_UP:
            self._windings_up += 1
            return [crashed, RestartIn(self.child.backoff.wait_s(self._windings_up - 1, random))]
        return [crashed, *self._restart(now, random)]

    def restart_due(self) -> list[Directive]:
        """The backoff is over."""
        if self.stage in GIVEN_UP and not self._actor_alive:
            return [*self._wind_up(), Do.SET_ROUTE]
        if self.stage not in (Stage.RESTARTING, Stage.CLOSING) or self._actor_alive:
            return []
        self._actor_alive = True
        return [Do.SPAWN_ACTOR] if self.stage is Stage.RESTARTING else [Do.SPAWN_ACTOR, Do.SET_ROUTE]

    def restart_failed(self, error: NyxPluginError) -> list[Directive]:
        """The restarted plugin actor could not bring its worker up."""
        if self._is_leaving:
            return []
        return self._fail(str(error)) if self.stage is Stage.RESTARTING else self.step_failed(error)

    def reset(self) -> list[Directive]:
        """Bring it back although it was given up: with a plugin actor of its own, and all restarts before it."""
        if self.stage not in GIVEN_UP:
            return []
        self.stage, self._resetting = Stage.RESTARTING, True
        self.restarts, self.quarantine_reason, self.failure = (), "", ""
        self.reset_error, self._windings_up = None, 0
        self._is_leaving = self._actor_alive
        start = [Do.STOP_ACTOR] if self._is_leaving else self.restart_due()
        return [Do.FORGIVE, Do.NOTE_STATE, *start]

    # Another version.

    def become(
        self, bundle: str, directory: str, manifest: Manifest, digest: str, signed_by: str, policy: Policy
    ) -> None:
        """Another version has taken this one's place; what the mailbox holds, and its sizes, stay as they are."""
        assert self.route is not None and self.manifest is not None
        self.spec = self.spec.pinned(bundle, self.route, self.manifest)
        self.route = self.route.of_version(manifest, policy, self.spec.require_handshake)
        self.former_directory, self.bundle_directory = self.bundle_directory, directory
        self.manifest, self.digest, self.signed_by, self.policy = manifest, digest, signed_by, policy

    def scaled(self, instances: int) -> None:
        """It is to run in so many workers, also when its plugin actor is started again."""
        self.spec = attrs.evolve(self.spec, instances=instances)

    # Ending.

    def unload(self, keep_row: bool = False) -> list[Directive]:
        """Take no more frames, drain, and remove."""
        self.keep_row = self.keep_row or keep_row
        if self.stage in ENDING:
            return []
        if self.stage in LOADING:
            return self._take_back()
        self._unloading = True
        return self._close()

    def plugin_drained(self, error: str = "") -> list[Directive]:
        """The worker has stopped, with this error if not as it should, and every frame has its outcome."""
        if self.stage is not Stage.DRAINING:
            return []
        self.drained = True
        self._last_words = error
        return self._undo()

    def drain_timed_out(self, is_process: bool = True) -> list[Directive]:
        """The plugin actor does not answer: another one tells what became of frames, unless this was that one.

        An actor that ``is_process`` can be killed.
        """
        if self.stage not in (Stage.CLOSING, Stage.DRAINING):
            return []
        if self._is_last or self.keep_row or not is_process:
            return self._undo()
        if not self._actor_alive:
            return self._end_with_another()
        self._is_silent = True
        return [Do.KILL_ACTOR]

    def actor_killed(self) -> None:
        """The plugin actor did not end when it was asked to."""
        self._last_words = "its plugin actor did not answer, and was killed"

    def route_dropped(self) -> list[Directive]:
        """The dispatcher knows the plugin no more."""
        return self._undone(Undo.ROUTE) if self.stage is Stage.UNDOING else []

    def unregistered(self) -> list[Directive]:
        """The row is gone."""
        return self._undone(Undo.ROW) if self.stage is Stage.UNDOING else []

    # Parts.

    def _up_again(self, what: str) -> list[Directive]:
        self.stage = Stage.PAUSED if self.is_paused else Stage.READY
        return [Do.NOTE_STATE, Publish(EventKind.RESTARTED, what), Publish(EventKind.READY), *self._reset_done()]

    def _reset_done(self, error: NyxPluginError | None = None) -> list[Directive]:
        if not self._resetting:
            return []
        self._resetting, self.reset_error = False, error
        return [Do.ANSWER_RESET]

    def _take_back(self) -> list[Directive]:
        """Undo a load; once senders may know of it, with an outcome for what they have sent."""
        if self.stage is not Stage.OPENING:
            return self._undo()
        if not self._actor_alive:
            self.failure, self.leftovers = str(self.error), "failed plugin"
        return self._close()

    def _close(self) -> list[Directive]:
        self.stage = Stage.CLOSING
        return [Do.NOTE_STATE, *(self.restart_due() or [Do.SET_ROUTE])]

    def _drain_again(self, now: float, random: float) -> list[Directive]:
        """What is in its mailbox has senders who wait to hear of it: another plugin actor finishes that."""
        self.restarts, verdict = decide(self.child, self.restarts, now, False, random)
        crashed = Publish(EventKind.CRASHED, "plugin actor ended")
        if isinstance(verdict, Restart) and not self._is_silent:
            self.stage = Stage.CLOSING
            return [crashed, RestartIn(verdict.after_s)]
        return [crashed, *(self._undo() if self._is_last else self._end_with_another())]

    def _end_with_another(self) -> list[Directive]:
        """One more, which runs no worker: only to tell what became of frames."""
        why = "its plugin actor did not answer" if self._is_silent else "its plugin actors ended too often"
        self.failure, self.leftovers = self.failure or why, self.leftovers or "unloaded"
        self.stage, self._is_last, self._is_silent = Stage.CLOSING, True, False
        return [*self._wind_up(), Do.SET_ROUTE]

    def _restart(self, now: float, random: float) -> list[Directive]:
        self.restarts, verdict = decide(self.child, self.restarts, now, False, random)
        match verdict:
            case Restart():
                self.stage = Stage.RESTARTING
                return [Do.NOTE_STATE, RestartIn(verdict.after_s)]
            case GiveUp():
                return self._fail(f"plugin actor not restarted: {verdict.reason}")
        return self._fail("plugin actor not restarted: its restart policy says so")

    def _fail(self, reason: str) -> list[Directive]:
        self.stage, self.failure, self.leftovers = Stage.FAILED, reason, "failed plugin"
        failed: list[Directive] = [
            Do.NOTE_STATE,
            *self._wind_up(),
            Do.SET_ROUTE,
            Publish(EventKind.FAILED, reason),
        ]
        return [*failed, *self._reset_done(PluginFailed(self.plugin_id, reason, "reset"))]

    def _wind_up(self) -> list[Directive]:
        """Senders wait to hear of what is in its mailbox: a plugin actor that runs no worker tells them."""
        if self._actor_alive:
            return []
        self._actor_alive = True
        return [Do.SPAWN_ACTOR]

    def _undo(self) -> list[Directive]:
        """Take back what was done, newest first; see :meth:`_undone` for the end."""
        stage, self.stage = self.stage, Stage.UNDOING
        todo = self._reset_done(PluginNotLoaded(self.plugin_id, "draining"))
        has_row = self.registration is not None or self._asked
        todo += self._undoing.begin(
            route=self.route is not None, actor=self._actor_alive, row=has_row and not self.keep_row
        )
        if self.policy is not None or stage is Stage.DECIDING:
            todo.append(Do.FORGET_POLICY)
        return [*todo, *self._gone()] if self._undoing.is_done else todo

    def _undone(self, part: Undo) -> list[Directive]:
        return self._gone() if self._undoing.confirm(part) else []

    def _gone(self) -> list[Directive]:
        self.stage = Stage.GONE
        if self._unloading:
            end: list[Directive] = [Publish(EventKind.UNLOADED, self._last_words), Do.ANSWER_UNLOAD]
        else:
            end = [Do.ANSWER_LOAD]
        return [Do.REMOVE_FILES, *end, Do.FORGET]
