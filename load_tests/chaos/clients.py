"""The client processes of the run: started, killed and started again, and in the end asked to finish."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from .client import Order

# How much longer than its patience a client may take to end, in seconds.
GRACE_S = 15.0
LOOK_S = 0.02


@attrs.define
class Member:
    """One client process that was started."""

    order: Order
    process: subprocess.Popen[bytes]
    killed: bool = False

    @property
    def is_sending(self) -> bool:
        """Whether it has come as far as to write something down."""
        return Path(self.order.diary).exists()


class Clients:
    """As many as there are to be; each gets a number, and a diary, of its own."""

    def __init__(self, make_order: Callable[[int], Order], errors: Path) -> None:
        self.everybody: list[Member] = []
        self._make_order, self._errors = make_order, errors

    def start(self) -> None:
        """Start one more."""
        order = self._make_order(len(self.everybody) + 1)
        with self._errors.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nyx_plugins.load_tests.chaos.client", json.dumps(attrs.asdict(order))],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        self.everybody.append(Member(order, process))

    def await_all(self, patience_s: float) -> bool:
        """Wait until all have begun to send; whether they have, in that time."""
        deadline = time.monotonic() + patience_s
        while not all(member.is_sending for member in self.running):
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
        return True

    @property
    def running(self) -> list[Member]:
        """Those that have not been killed, in order of their numbers."""
        return [member for member in self.everybody if not member.killed]

    def kill(self, place: int) -> bool:
        """Kill one of those that have begun to send, and start another in its place; whether there was one."""
        candidates = [member for member in self.running if member.process.poll() is None and member.is_sending]
        if not candidates:
            return False
        victim = candidates[place % len(candidates)]
        victim.process.kill()
        self._bury(victim)
        victim.killed = True
        self.start()
        return True

    def finish(self, patience_s: float) -> list[str]:
        """Let all come to their ends; returns what is wrong with those that don't."""
        faults = []
        deadline = time.monotonic() + patience_s + GRACE_S
        for member in self.running:
            assert member.process.stdin is not None
            member.process.stdin.close()
        for member in self.running:
            try:
                code = member.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                member.process.kill()
                faults.append(f"client {member.order.number} did not come to its end")
                self._bury(member)
                continue
            if code:
                faults.append(f"client {member.order.number} ended with code {code}")
        return faults

    def abandon(self) -> None:
        """End whoever is left."""
        for member in self.everybody:
            member.process.kill()
            self._bury(member)

    def _bury(self, member: Member) -> None:
        member.process.wait()
        assert member.process.stdin is not None
        member.process.stdin.close()
