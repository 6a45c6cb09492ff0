"""CPU and memory of groups of processes."""

from __future__ import annotations

import attrs
import pytest

from nyx_plugins.service import meter
from nyx_plugins.service.meter import Meter
from nyx_plugins.service.snapshot import Usage
from nyx_plugins.service.usage import ProcessUsage


@attrs.define
class Machine:
    """Processes as a test wants them, on a clock that it sets."""

    now_s: float = 0.0
    processes: dict[int, ProcessUsage] = attrs.field(factory=dict)
    memory: dict[int, int | None] = attrs.field(factory=dict)
    memory_reads: list[int] = attrs.field(factory=list)

    def run(self, pid: int, cpu_s: float, started_s: float = 1.0, memory: int | None = 10) -> None:
        """Have this process run."""
        self.processes[pid] = ProcessUsage(pid, "p", started_s, cpu_s, 99)
        self.memory[pid] = memory

    def memory_of(self, pid: int) -> int | None:
        """Its memory; each reading is noted."""
        self.memory_reads.append(pid)
        return self.memory[pid]


@pytest.fixture
def machine() -> Machine:
    """Return a machine without processes."""
    return Machine()


@pytest.fixture
def on_machine(machine: Machine) -> Meter:
    """Return a meter that reads that machine."""
    return Meter(lambda: machine.now_s, usage_of=machine.processes.get, memory_of=machine.memory_of)


def _round(on_machine: Meter, *pids: int) -> Usage | None:
    on_machine.begin()
    usage = on_machine.read("group", pids)
    on_machine.end()
    return usage


def test_percent_is_of_the_time_between_two_rounds(machine: Machine, on_machine: Meter) -> None:
    """Half a second of CPU in two seconds are 25 %; the first round has nothing to compare with."""
    machine.run(1, 1.0)
    machine.run(2, 2.0)
    first = _round(on_machine, 1, 2)
    machine.now_s = 2.0
    machine.run(2, 2.5)
    assert first == Usage(3.0, None, 20)
    assert _round(on_machine, 1, 2) == Usage(3.5, 25.0, 20)


def test_cpu_seconds_never_fall_when_a_worker_ends(machine: Machine, on_machine: Meter) -> None:
    """The seconds of a worker that is not reaped yet are nowhere: the total waits, and counts none of them twice."""
    machine.run(1, 1.0)
    machine.run(2, 5.0)
    assert _round(on_machine, 1, 2) == Usage(6.0, None, 20)
    del machine.processes[2]
    machine.now_s = 1.0
    assert _round(on_machine, 1, 2) == Usage(6.0, 0.0, 10)
    machine.run(1, 6.0)
    machine.run(3, 0.5)
    machine.now_s = 2.0
    assert _round(on_machine, 1, 3) == Usage(6.5, 50.0, 20)


def test_cpu_seconds_go_on_with_another_leader(machine: Machine, on_machine: Meter) -> None:
    """A plugin actor that was started again begins at nothing, and its group goes on; the same pid may be another."""
    machine.run(1, 6.0)
    _round(on_machine, 1)
    machine.run(1, 1.0, started_s=2.0)
    machine.now_s = 1.0
    assert _round(on_machine, 1) == Usage(7.0, 100.0, 10)


def test_a_group_without_its_leader_uses_nothing(machine: Machine, on_machine: Meter) -> None:
    """Of a group whose leader is gone, or that has none, nothing is said."""
    machine.run(2, 1.0)
    assert _round(on_machine, 1, 2) is None
    assert _round(on_machine) is None


def test_memory_is_what_is_resident_where_the_kernel_does_not_tell(machine: Machine, on_machine: Meter) -> None:
    """A process whose share can't be read counts with its resident size."""
    machine.run(1, 1.0, memory=None)
    assert _round(on_machine, 1) == Usage(1.0, None, 99)


def test_memory_is_read_of_a_few_processes_in_each_round(machine: Machine, on_machine: Meter) -> None:
    """Reading is costly: all have it read once, then so many in each round, those first that waited longest."""
    pids = tuple(range(1, 2 * meter.MEMORY_READS + 1))
    for pid in pids:
        machine.run(pid, 0.0)
    _round(on_machine, *pids)
    assert machine.memory_reads == list(pids)
    machine.memory_reads.clear()
    _round(on_machine, *pids)
    _round(on_machine, *pids)
    assert machine.memory_reads == list(pids)


def test_what_is_gone_is_forgotten(machine: Machine, on_machine: Meter) -> None:
    """Groups that were not read in a round begin anew, so that a meter does not grow."""
    machine.run(1, 6.0)
    _round(on_machine, 1)
    on_machine.begin()
    on_machine.end()
    assert on_machine._groups == {} and on_machine._memory == {}
