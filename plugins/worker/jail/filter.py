"""Generates the seccomp program of a worker from the table of system calls; runs in the host."""

from __future__ import annotations

import errno
import struct
from functools import cache
from typing import NamedTuple

from . import kernel
from .calls import ABSENT, ALLOW, KILL, OWN_PID, REFUSE, Call, Condition, Rule, calls

ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
"""The number by which the kernel names each architecture to a filter."""
RETURNS = {
    ALLOW: 0x7FFF_0000,
    REFUSE: 0x0005_0000 | errno.EPERM,
    ABSENT: 0x0005_0000 | errno.ENOSYS,
    KILL: 0x8000_0000,
}
_X32_BIT = 0x4000_0000
_LOAD, _AND, _JUMP_IF_EQUAL, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x06
# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]. Both architectures are little-endian.
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_INSTRUCTION = struct.Struct("<HBBI")


class Instruction(NamedTuple):
    """One of classic BPF: what to do, how far to jump when true and when false, and with what."""

    code: int
    if_true: int
    if_false: int
    value: int


Program = tuple[Instruction, ...]


def program(machine: str, *, subprocesses: bool = False) -> Program:
    """Generate the program for ``machine``; :data:`OWN_PID` stands for the process id. :class:`KeyError` if unknown."""
    lines = _only_native(machine)
    for call in calls(subprocesses=subprocesses):
        number = getattr(call, machine)
        if number is not None:
            lines += _for_call(number, call)
    return (*lines, _return(REFUSE))


def for_worker(pid: int, *, subprocesses: bool = False) -> bytes:
    """Write this machine's program for the process ``pid`` as the kernel takes it."""
    encoded, places_of_pid = _encoded(kernel.MACHINE, subprocesses)
    data = bytearray(encoded)
    for offset in places_of_pid:
        data[offset : offset + 4] = pid.to_bytes(4, "little")
    return bytes(data)


@cache
def _encoded(machine: str, subprocesses: bool) -> tuple[bytes, tuple[int, ...]]:
    """The program as the kernel takes it, and where process ids have to be put in."""
    lines = program(machine, subprocesses=subprocesses)
    places = tuple(place * _INSTRUCTION.size + 4 for place, line in enumerate(lines) if line.value == OWN_PID)
    return b"".join(_INSTRUCTION.pack(*line) for line in lines), places


def _only_native(machine: str) -> list[Instruction]:
    """Refuse calls by the numbers of other architectures, and on x86-64 those of x32, which are twice there."""
    lines = [
        Instruction(_LOAD, 0, 0, _ARCHITECTURE_AT),
        Instruction(_JUMP_IF_EQUAL, 1, 0, ARCHITECTURES[machine]),
        _return(KILL),
        Instruction(_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":
        lines += [Instruction(_JUMP_IF_ANY_BIT, 0, 1, _X32_BIT), _return(KILL)]
    return lines


def _for_call(number: int, call: Call) -> list[Instruction]:
    body = [line for rule in call.rules for line in _for_rule(rule)]
    return [Instruction(_JUMP_IF_EQUAL, 0, len(body) + 1, number), *body, _return(call.action)]


def _for_rule(rule: Rule) -> list[Instruction]:
    """Return the rule's action if every condition holds, else go on behind it."""
    lines = [_return(rule.action)]
    for condition in reversed(rule.conditions):
        for offset, mask, values in reversed(_halves(condition)):
            lines = _test(offset, mask, values, len(lines)) + lines
    return lines


def _halves(condition: Condition) -> list[tuple[int, int, tuple[int, ...]]]:
    offset = _ARGUMENTS_AT + 8 * condition.argument
    lower = [(offset, condition.mask, condition.values)]
    return [*lower, (offset + 4, 0xFFFF_FFFF, (0,))] if condition.whole else lower


def _test(offset: int, mask: int, values: tuple[int, ...], rest: int) -> list[Instruction]:
    """Go on if what lies at ``offset`` is one of ``values``, else skip the ``rest`` of the rule."""
    lines = [Instruction(_LOAD, 0, 0, offset)]
    if mask != 0xFFFF_FFFF:
        lines.append(Instruction(_AND, 0, 0, mask))
    for left in range(len(values) - 1, -1, -1):
        lines.append(Instruction(_JUMP_IF_EQUAL, left, 0 if left else rest, values[len(values) - 1 - left]))
    return lines


def _return(action: str) -> Instruction:
    return Instruction(_RETURN, 0, 0, RETURNS[action])
