"""A world in one process: actors, workers and clients that only a seeded scheduler lets do anything.

What holds in the real one holds here, and no more: between two processes messages arrive in the order in which they
were sent; between different pairs in any order; an end is noticed at any time after it; whoever is killed takes along
what has been sent to it, and of what it sent itself the last part may be lost. Files survive.
"""

from __future__ import annotations

import pickle
import traceback
from collections import deque
from collections.abc import Callable
from os import close as os_close
from random import Random
from typing import Any

import attrs

FIRST_PID = 1 << 24
"""Beyond what Linux gives to real processes."""
FIRST_DESCRIPTOR = 1 << 24
"""Beyond what a process may open."""
MOST_OF_A_LINE = 300
EPOCH = 1.7e9


class Killed(BaseException):
    """Kill -9 in the middle of what a process does: nothing of it goes on."""


class Violation(BaseException):
    """A promise was broken. What catches every exception must not catch this."""


@attrs.define(eq=True, unsafe_hash=None)
class Address:
    """Where a process is reached. Like Thespian's it can be compared, not hashed."""

    pid: int


@attrs.define(eq=False)
class Process:
    """One simulated process; ``take`` is given each message that arrives, with its sender."""

    pid: int
    role: str
    take: Callable[[Any, Address], None]
    parent: int = 0
    actor: Any = None
    is_busy: Callable[[], bool] = lambda: False
    """Whether it has work of its own, which ``work`` does a bit of."""
    work: Callable[[], None] = lambda: None
    on_exit: Callable[[], None] = lambda: None
    on_child_exit: Callable[[Address], None] = lambda _: None
    on_killed: Callable[[], None] = lambda: None
    held: list[Callable[[], None]] = attrs.field(factory=list)
    """What the kernel does when it is gone."""
    alive: bool = True
    stalled: bool = False
    """Whether it takes nothing for now."""
    bomb: int | None = None
    """After so many effects (messages sent, stores into files) it is killed."""

    @property
    def address(self) -> Address:
        """Where it is reached."""
        return Address(self.pid)

    def __str__(self) -> str:
        return f"{self.role}:{self.pid - FIRST_PID}"


class _Exit:
    """Asks a process to end, behind all that was sent to it before."""


EXIT = _Exit()
Wire = tuple[int, int]


class World:
    """All processes, what is under way between them, their alarms, the time, and the dice."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.random = Random(seed)
        self.now = 1000.0
        self.steps = 0
        self.processes: dict[int, Process] = {}
        self._living: dict[int, Process] = {}
        self.current: Process | None = None
        self.crashes: list[str] = []
        """Tracebacks of actors that ended by an exception of their own."""
        self._trace = trace
        self._wires: dict[Wire, deque[Any]] = {}
        self._alarms: dict[tuple[int, Any], float] = {}
        self._pidfds: dict[int, int] = {}
        self._held: set[int] = set()
        self.boots = 1
        """How often the machine was started."""
        self.journals: dict[str, Any] = {}
        """Whoever has opened each of them last, by path."""
        self._next_descriptor = FIRST_DESCRIPTOR
        self._watchers: dict[int, list[tuple[Process, int, Callable[[], None]]]] = {}
        self._notices: dict[int, Callable[[], None]] = {}
        self._next_notice = 0
        self._priorities: dict[Any, float] = {}
        self._keenness = self.random.choice([0.0, 0.0, 0.6, 0.95])
        """How often the next step is the one of the highest priority, instead of any."""

    @property
    def now_ms(self) -> int:
        """The wall clock, in milliseconds."""
        return int(1000 * self.wall_clock())

    def wall_clock(self) -> float:
        """Stand in for :func:`time.time`."""
        return EPOCH + self.now

    def sleep(self, seconds: float) -> None:
        """Stand in for :func:`time.sleep`: nobody else does anything meanwhile."""
        self.now += seconds

    # Processes.

    def start(self, role: str, take: Callable[[Any, Address], None], parent: int = 0) -> Process:
        """Start a process."""
        pid = FIRST_PID + len(self.processes) + 1
        process = self.processes[pid] = self._living[pid] = Process(pid, role, take, parent)
        self.note(f"{process} starts")
        return process

    def living(self, role: str) -> list[Process]:
        """Return the living processes of a role, oldest first."""
        return [process for process in self._living.values() if process.role == role]

    def kill(self, process: Process, why: str = "killed") -> None:
        """End it at once. What it has sent last may be lost, what is on its way to it is."""
        if not process.alive:
            return
        self.note(f"{process} {why}")
        self._end(process)
        for wire in [wire for wire in self._wires if wire[0] == process.pid]:
            self._cut(wire)
        process.on_killed()

    def _cut(self, wire: Wire) -> None:
        """Lose the last part of what is on the wire: what had not left the process yet."""
        line = self._wires[wire]
        keep = len(line) if self.random.random() < 0.6 else self.random.randint(0, len(line))
        for _ in range(len(line) - keep):
            self.note(f"  lost {self._wire_name(wire)}: {line.pop()!r}")
        if not line:
            del self._wires[wire]

    def _end(self, process: Process) -> None:
        process.alive = False
        process.bomb = None
        del self._living[process.pid]
        for wire in [wire for wire in self._wires if wire[1] == process.pid]:
            del self._wires[wire]
        for key in [key for key in self._alarms if key[0] == process.pid]:
            del self._alarms[key]
        parent = self.processes.get(process.parent)
        if parent is not None:
            self.notice(parent, lambda: parent.on_child_exit(process.address), f"learns that {process} has ended")
        for watching, fd, call in self._watchers.pop(process.pid, []):
            self.notice(watching, call, f"sees by descriptor {fd} that {process} has ended")

    def _exit(self, process: Process) -> None:
        """It was asked to end, and does, with all that is below it."""
        process.on_exit()
        if not process.alive:
            return
        self.note(f"{process} ends")
        for child in list(self._living.values()):
            if child.parent == process.pid:
                self.post(process, child.address, EXIT)
        self._end(process)

    # What is under way.

    def post(self, sender: Process, target: Address, message: Any) -> None:
        """Put a message on the wire; an effect."""
        self.effect()
        receiver = self.processes.get(target.pid) if isinstance(target, Address) else None
        if receiver is None or not receiver.alive:
            self.note(f"  {sender} -> nobody: {message!r}")
            return
        copy = message if isinstance(message, _Exit) else pickle.loads(pickle.dumps(message))
        self._wires.setdefault((sender.pid, target.pid), deque()).append(copy)

    def notice(self, process: Process, call: Callable[[], None], what: str) -> None:
        """Let a process find something out at any time from now on."""
        self._next_notice += 1
        number = -self._next_notice

        def run() -> None:
            if process.alive:
                self.note(f"{process} {what}")
                self.run(process, call)

        self._notices[number] = run

    def pending(self, sender: Process, target: Process) -> int:
        """How many messages are on one wire."""
        return len(self._wires.get((sender.pid, target.pid), ()))

    def set_alarm(self, process: Process, name: Any, after_s: float) -> None:
        """Set an alarm, or set it anew."""
        self._alarms[process.pid, name] = self.now + max(after_s, 0.0)

    def cancel_alarm(self, process: Process, name: Any) -> None:
        """Forget an alarm."""
        self._alarms.pop((process.pid, name), None)

    def effect(self) -> None:
        """Something that others can see is about to happen: here a process may be killed."""
        process = self.current
        if process is None or process.bomb is None:
            return
        process.bomb -= 1
        if process.bomb <= 0:
            raise Killed

    # Running.

    def run(self, process: Process, call: Callable[[], None]) -> None:
        """Let a process do something; an exception ends it, as it ends an actor."""
        before, self.current = self.current, process
        try:
            call()
        except Killed:
            self.current = before
            self.kill(process, "killed in the middle")
        except Exception:
            self.crashes.append(f"{process}:\n{traceback.format_exc()}")
            self.current = before
            self.kill(process, "crashed")
        finally:
            self.current = before

    def step(self, impatience: float = 0.0) -> bool:
        """Let one thing happen, time first if nothing else can; returns whether anything is left to happen.

        ``impatience`` is how likely the next alarm comes before messages that are under way.
        """
        self.steps += 1
        self.now += self.random.random() * 0.001
        choices = self._choices()
        if self._alarms and (not choices or self.random.random() < impatience):
            self.now = max(self.now, min(self._alarms.values()))
            choices = choices if choices and self.random.random() < 0.5 else self._due()
        if not choices:
            return False
        self._do(self._choose(choices))
        return True

    @property
    def busy(self) -> bool:
        """Whether anything can happen without waiting."""
        return bool(self._choices())

    def _choices(self) -> list[Any]:
        wires: list[Any] = [wire for wire in self._wires if not self.processes[wire[1]].stalled]
        workers = [pid for pid, process in self._living.items() if process.is_busy() and not process.stalled]
        return [*wires, *workers, *self._notices, *self._due()]

    def _due(self) -> list[Any]:
        return [("alarm", *key) for key, due in self._alarms.items() if due <= self.now]

    def _choose(self, choices: list[Any]) -> Any:
        if not self._keenness or self.random.random() >= self._keenness:
            return self.random.choice(choices)
        if self.random.random() < 0.02:
            self._priorities.clear()
        return max(choices, key=self._priority)

    def _priority(self, choice: Any) -> float:
        if choice not in self._priorities:
            self._priorities[choice] = self.random.random()
        return self._priorities[choice]

    def _do(self, choice: Any) -> None:
        match choice:
            case ("alarm", int(pid), name):
                del self._alarms[pid, name]
                process = self.processes[pid]
                self.note(f"{process} alarm {name}")
                self.run(process, lambda: process.take(Alarm(name), process.address))
            case (int(), int()):
                self._deliver(choice)
            case int() if choice < 0:
                self._notices.pop(choice)()
            case int():
                process = self.processes[choice]
                self.run(process, process.work)

    def _deliver(self, wire: Wire) -> None:
        line = self._wires[wire]
        message = line.popleft()
        if not line:
            del self._wires[wire]
        receiver = self.processes[wire[1]]
        self.note(f"{self._wire_name(wire)}: {message!r}")
        if isinstance(message, _Exit):
            self.run(receiver, lambda: self._exit(receiver))
        else:
            self.run(receiver, lambda: receiver.take(message, Address(wire[0])))

    def _wire_name(self, wire: Wire) -> str:
        return f"{self.processes[wire[0]]} -> {self.processes[wire[1]]}"

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        if self._trace is not None:
            self._trace(f"{self.now - 1000:10.4f} {text[:MOST_OF_A_LINE]}")

    # What stands for the kernel.

    def open_pidfd(self, pid: int) -> int:
        """Stand in for :func:`os.pidfd_open`: a descriptor that says nothing by itself."""
        if pid not in self.processes or not self.processes[pid].alive:
            raise ProcessLookupError(pid)
        descriptor = self.new_descriptor()
        self._pidfds[descriptor] = pid
        return descriptor

    def new_descriptor(self) -> int:
        """Return a descriptor of nothing real."""
        self._next_descriptor += 1
        return self._next_descriptor

    def watch(self, process: Process, fd: int, call: Callable[[], None]) -> None:
        """Call when what the descriptor ``fd`` stands for has ended, if it stands for a process."""
        pid = self._pidfds.get(fd)
        if pid is not None:
            self._watchers.setdefault(pid, []).append((process, fd, call))

    def close(self, descriptor: int) -> None:
        """Stand in for :func:`os.close`."""
        self._held.discard(descriptor)
        if self._pidfds.pop(descriptor, None) is None:
            os_close(descriptor)

    def hold(self, descriptor: int) -> None:
        """Close it with the end of the process that is running, unless that has closed it before."""
        assert self.current is not None
        self._held.add(descriptor)
        self.current.held.append(lambda: self.close(descriptor) if descriptor in self._held else None)

    def kill_pid(self, pid: int, signal: int) -> None:
        """Stand in for :func:`os.kill`."""
        if pid not in self.processes or not self.processes[pid].alive:
            raise ProcessLookupError(pid)
        self.kill(self.processes[pid], f"killed by {self.current}")


@attrs.frozen
class Alarm:
    """An alarm goes off."""

    name: Any
