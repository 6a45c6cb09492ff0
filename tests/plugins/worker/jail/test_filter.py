"""The seccomp program, run by an interpreter of BPF: both architectures decide alike, and as the table says."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.worker.jail import kernel
from nyx_plugins.plugins.worker.jail.calls import (
    ABSENT,
    ALLOW,
    ALLOWED,
    KILL,
    KILLED,
    LOOKED_INTO,
    OWN_PID,
    PROCESSES,
    REFUSE,
    calls,
)
from nyx_plugins.plugins.worker.jail.filter import ARCHITECTURES, Instruction, Program, for_worker, program

MACHINES = sorted(ARCHITECTURES)
MEANINGS = {
    0x7FFF_0000: ALLOW,
    0x0005_0000 | errno.EPERM: REFUSE,
    0x0005_0000 | errno.ENOSYS: ABSENT,
    0x8000_0000: KILL,
}
UPPER = 1 << 32
THREAD = 0x003D_0F00
"""The flags with which the C library makes a thread."""


def interpret(lines: Program, data: bytes) -> int:
    """Run a program as the kernel does; what it does not use is not known here either."""
    place = accumulator = 0
    while True:
        code, if_true, if_false, value = lines[place]
        place += 1
        match code:
            case 0x20:
                [accumulator] = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                place += if_true if accumulator == value else if_false
            case 0x45:
                place += if_true if accumulator & value else if_false
            case 0x06:
                return value
            case _:
                raise AssertionError(f"instruction {code:#x}")


def verdict(machine: str, name: str, *arguments: int, subprocesses: bool = False) -> str:
    """Say what the program of ``machine`` does with a call."""
    number = next(getattr(call, machine) for call in calls(subprocesses=True) if call.name == name)
    return by_number(machine, number, *arguments, subprocesses=subprocesses)


def by_number(
    machine: str, number: int, *arguments: int, architecture: int | None = None, subprocesses: bool = False
) -> str:
    """Say what the program of ``machine`` does with the call of a number."""
    words = [value & 0xFFFF_FFFF_FFFF_FFFF for value in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<iIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *words)
    return MEANINGS[interpret(program(machine, subprocesses=subprocesses), data)]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_is_one_that_the_kernel_takes(machine: str) -> None:
    """It has at most 4,096 instructions, jumps forward within itself only, and ends by returning."""
    for subprocesses in (False, True):
        lines = program(machine, subprocesses=subprocesses)
        assert len(lines) <= 4096
        for place, line in enumerate(lines):
            assert max(line.if_true, line.if_false) <= 255
            assert place + 1 + max(line.if_true, line.if_false) < len(lines) or line.code == 0x06
        assert lines[-1].code == 0x06


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_of_the_table_gets_what_the_table_says(machine: str) -> None:
    """Calls without conditions are allowed or fatal whatever their arguments are."""
    for call in (*ALLOWED, *KILLED):
        number = getattr(call, machine)
        if number is not None:
            assert by_number(machine, number, *[2**64 - 1] * 6) == call.action, call.name
            assert by_number(machine, number) == call.action, call.name


@pytest.mark.parametrize("machine", MACHINES)
def test_no_number_stands_for_two_calls(machine: str) -> None:
    """A number twice in the table would hide the second row."""
    numbers = [getattr(call, machine) for call in LOOKED_INTO + ALLOWED + KILLED]
    known = [number for number in numbers if number is not None]
    assert len(set(known)) == len(known) > 150


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(-(2**31), 2**31 - 1))
def test_what_is_not_in_the_table_is_refused(machine: str, number: int) -> None:
    """Any other number gets EPERM, and on x86-64 those with the bit of x32 are fatal."""
    if number in {getattr(call, machine) for call in calls()}:
        return
    x32 = machine == "x86_64" and number & 0x4000_0000
    assert by_number(machine, number) == (KILL if x32 else REFUSE)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("architecture", [0x4000_0003, 0xC000_003E, 0xC000_00B7, 0x4000_0028, 0xC000_00F3])
def test_calls_by_the_numbers_of_another_architecture_are_fatal(machine: str, architecture: int) -> None:
    """32-bit x86, 32-bit ARM and RISC-V numbers mean other calls: none of them gets through."""
    expected = ALLOW if architecture == ARCHITECTURES[machine] else KILL
    number = 0 if machine == "x86_64" else 63
    assert by_number(machine, number, architecture=architecture) == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (THREAD,), ALLOW),
        ("clone", (THREAD | UPPER,), ALLOW),  # the kernel takes flags from the lower half
        ("clone", (17,), REFUSE),  # fork
        ("clone", (0x4100 | 17,), REFUSE),  # vfork
        ("clone", (THREAD | 0x1000_0000,), KILL),  # a user namespace
        ("clone", (THREAD | 0x4000_0000,), REFUSE),  # a network namespace
        ("clone", (THREAD | 0x0002_0000,), REFUSE),  # a mount namespace
        ("clone", (THREAD | 0x0200_0000,), REFUSE),  # a cgroup namespace
        ("clone3", (1, 88), ABSENT),
        ("kill", (OWN_PID, 9), ALLOW),
        ("kill", (OWN_PID + 1, 9), REFUSE),
        ("kill", (0, 9), REFUSE),
        ("kill", (-1, 9), REFUSE),
        ("kill", (-OWN_PID, 9), REFUSE),
        ("tgkill", (OWN_PID, OWN_PID + 5, 6), ALLOW),
        ("tgkill", (1, 1, 6), REFUSE),
        ("prlimit64", (0, 7, 1, 1), ALLOW),
        ("prlimit64", (OWN_PID, 7), ALLOW),
        ("prlimit64", (1, 7), REFUSE),
        ("ioctl", (1, 0x5401), ALLOW),
        ("ioctl", (1, 0x5412), REFUSE),  # TIOCSTI
        ("ioctl", (1, 0x8901), REFUSE),  # FIOSETOWN
        ("ioctl", (1, 0x5401 | UPPER), ALLOW),  # the kernel takes a command from the lower half
        ("fcntl", (1, 3), ALLOW),
        ("fcntl", (1, 8), REFUSE),  # F_SETOWN
        ("fcntl", (1, 15), REFUSE),  # F_SETOWN_EX
        ("fcntl", (1, 1026), REFUSE),  # F_NOTIFY
        ("fcntl", (1, 1033), REFUSE),  # F_ADD_SEALS
        ("prctl", (15,), ALLOW),
        ("prctl", (4, 1), REFUSE),  # PR_SET_DUMPABLE
        ("prctl", (22, 2), REFUSE),  # PR_SET_SECCOMP
        ("prctl", (1, 0), REFUSE),  # PR_SET_PDEATHSIG
        ("prctl", (36, 1), REFUSE),  # PR_SET_CHILD_SUBREAPER
        ("socketpair", (1, 1, 0, 1), ALLOW),
        ("socketpair", (1, 1 | 0o2000000 | 0o4000, 0, 1), ALLOW),
        ("socketpair", (1, 2, 0, 1), REFUSE),  # datagrams
        ("socketpair", (1, 5, 0, 1), REFUSE),  # packets
        ("socketpair", (2, 1, 0, 1), REFUSE),
        ("sendto", (3, 1, 1, 0, 0, 0), ALLOW),
        ("sendto", (3, 1, 1, 0x4000, 0, 0), ALLOW),  # MSG_NOSIGNAL
        ("sendto", (3, 1, 1, 0, 0x1000, 16), REFUSE),
        ("sendto", (3, 1, 1, 0, UPPER, 16), REFUSE),  # an address of which only the upper half is set
        ("sendto", (3, 1, 1, 0x2000_0000, 0, 0), REFUSE),  # MSG_FASTOPEN
        ("sendmsg", (3, 1, 0), ALLOW),
        ("sendmsg", (3, 1, 0x2000_0000), REFUSE),
        ("sendmmsg", (3, 1, 1, 0), ALLOW),
        ("sendmmsg", (3, 1, 1, 0x2000_0000), REFUSE),
        ("setsockopt", (3, 1, 7), ALLOW),  # SO_SNDBUF
        ("setsockopt", (3, 1, 26), REFUSE),  # SO_ATTACH_FILTER
        ("setsockopt", (3, 6, 1), ALLOW),  # TCP_NODELAY
        ("setsockopt", (3, 6, 31), REFUSE),  # TCP_ULP
        ("setsockopt", (3, 0, 1), REFUSE),  # a level of its own
        ("execve", (1, 1, 1), REFUSE),
        ("execveat", (1, 1, 1), REFUSE),
    ],
)
def test_calls_that_are_looked_into(machine: str, name: str, arguments: tuple[int, ...], expected: str) -> None:
    """What an argument says decides, in every half of the register that the kernel looks at, and in no other."""
    assert verdict(machine, name, *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_processes_are_a_matter_of_the_policy(machine: str) -> None:
    """With subprocesses a worker can fork, execute and send signals; namespaces stay closed."""
    for name in ("clone", "execve", "execveat", "kill"):
        assert verdict(machine, name, 17) == REFUSE
        assert verdict(machine, name, 17, subprocesses=True) == ALLOW
    assert verdict(machine, "clone", 0x1000_0011, subprocesses=True) == KILL
    assert verdict(machine, "clone", 0x4000_0011, subprocesses=True) == REFUSE
    assert {call.name for call in PROCESSES} >= {"fork", "vfork", "clone"}


def test_a_worker_gets_the_program_of_this_machine_with_its_own_process_id() -> None:
    """What stands for the process id is replaced everywhere, and nothing else is."""
    lines = [Instruction(*fields) for fields in struct.iter_unpack("<HBBI", for_worker(4711))]
    expected = program(kernel.MACHINE)
    assert [line.value for line in lines] == [4711 if line.value == OWN_PID else line.value for line in expected]
    assert [line[:3] for line in lines] == [line[:3] for line in expected]
    assert sum(line.value == 4711 for line in lines) == 3


HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+)\s+(\d+)"),
    "aarch64": ("/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+)\s+(\d+)"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    """Where this machine has the headers, each number that they know is theirs."""
    path, pattern = HEADERS[machine]
    if not Path(path).exists():
        pytest.skip(f"there is no {path}")
    known = {name: int(number) for name, number in re.findall(pattern, Path(path).read_text())}
    # The generic header calls it so; on every architecture that uses the header it is the other.
    known.setdefault("newfstatat", known.get("fstatat", -1))
    ours = {call.name: getattr(call, machine) for call in calls(subprocesses=True)}
    for name, number in ours.items():
        if name in known or number is None:
            assert known.get(name) == number or number is None, name
    assert sum(name in known for name in ours) > 150
