"""How a jailed worker ends when it oversteps, and what is told of it: event, statistics, log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.needs_worker(reason="there is no jail in the application's process")

SANDBOX = "memory_bytes = 134217728\ncpu_seconds = 1\nthreads = 8\nscratch_bytes = 4194304\nwall_time_s = 60.0\n"

# What a plugin does, and the cause and the reason that follow. Those that are found by looking wait for that.
ENDS = {
    "exit": ("import os; os._exit(7)", "worker exited with code 7"),
    "signal": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "worker killed by SIGSEGV"),
    "seccomp": ("import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)", "worker killed by SIGSYS"),
    "cpu": ("while True: pass", "worker killed by SIGXCPU: "),
    "memory": (
        """
        import mmap, threading
        held = mmap.mmap(-1, 1 << 28)
        for _ in range(256): held.write(bytes(1 << 20))
        threading.Event().wait()
        """,
        "worker exceeded its memory: ",
    ),
    "threads": (
        """
        import threading
        never = threading.Event()
        threading.stack_size(65536)
        for _ in range(20): threading.Thread(target=never.wait, daemon=True).start()
        never.wait()
        """,
        "worker exceeded its threads: ",
    ),
    "scratch": (
        """
        import threading
        for n in range(3): open(f"{ctx.scratch}/{n}", "wb").write(bytes(2 << 20))
        threading.Event().wait()
        """,
        "worker exceeded its scratch directory: more than 4,194,304 bytes are in it, its limit",
    ),
    "scratch, nested": (
        """
        import os, threading
        os.chdir(ctx.scratch)
        for _ in range(200): os.mkdir("d"); os.chdir("d")
        threading.Event().wait()
        """,
        "worker exceeded its scratch directory: folders in it are nested more than 128 deep, the limit",
    ),
    "protocol": (
        """
        import os
        for fd in range(3, 64):
            try: os.write(fd, bytes(4))
            except OSError: pass
        """,
        "worker broke the protocol: ",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_worker_that_ends_has_a_cause(
    end: str, prisoner: Callable[..., Any], wait_event: Any, plugin_log: Any
) -> None:
    """Event, statistics and log tell what ended it; the frame in its hand is dead-lettered, the next one runs."""
    cause, (code, reason) = end.partition(",")[0], ENDS[end]
    plugin = prisoner(SANDBOX)
    with plugin.system.subscribe() as events:
        lost = plugin.send(code)
        crashed = wait_event(events, "crashed", 1, timeout=60.0)[-1]
    assert crashed.reason.startswith(reason)
    assert lost.outcome(30.0).reason == f"crash: {crashed.reason}"
    assert plugin.run("result = 45") == "45"
    death = plugin.system.plugin_stats(1).last_death
    assert (death.cause, f"worker {death}") == (cause, crashed.reason)
    assert plugin_log.wait_for(reason)[-1].endswith(f"(cause: {cause})")


def test_a_frame_that_takes_too_long_is_a_deadline(prisoner: Callable[..., Any], wait_event: Any) -> None:
    """The wall time has a cause of its own, and ends a worker that sleeps."""
    plugin = prisoner("wall_time_s = 0.2\n")
    with plugin.system.subscribe() as events:
        lost = plugin.send("import time; time.sleep(60)")
        wait_event(events, "crashed", 1, timeout=60.0)
    assert lost.outcome(30.0).reason == "deadline: worker exceeded its wall time of 0.2 s per frame"
    assert plugin.system.plugin_stats(1).last_death.cause == "deadline"


def test_a_plugin_that_has_lost_no_worker_has_no_death(prisoner: Callable[..., Any]) -> None:
    """Statistics say so."""
    assert prisoner().system.plugin_stats(1).last_death is None


REFUSALS = {
    "open('/etc/passwd')": "read of '/etc/passwd' denied by policy (read paths: {reads})",
    "open('/etc/passwd', 'a')": "write to '/etc/passwd' denied by policy (write paths: {writes})",
    "import os; os.listdir('/')": "read of '/' denied by policy (read paths: {reads})",
    "import os; os.mkdir('/x')": "write to '/x' denied by policy (write paths: {writes})",
    "import os; os.chmod('/etc/passwd', 0)": (
        "change of the attributes of '/etc/passwd' denied by policy (no plugin can change them)"
    ),
    "import os; os.fork()": "start of a process denied by policy (subprocesses: no)",
    "import subprocess; subprocess.run(['/bin/true'])": "start of a process denied by policy (subprocesses: no)",
    "import socket; socket.create_connection(('127.0.0.1', 9))": (
        "socket denied by policy: use ctx.connect(host, port) (network: none)"
    ),
    "import os; os.kill(1, 15)": "signal to process 1 denied by policy (a plugin can signal itself only)",
}


def test_refusals_name_the_policy_behind_them(prisoner: Callable[..., Any], tmp_path: Any) -> None:
    """What the kernel refuses is told as a violation of the policy, with the list that would have to be longer."""
    (tmp_path / "in").mkdir()
    plugin = prisoner(f'scratch_bytes = 4194304\nread_paths = ["{tmp_path}/in"]\n')
    scratch = plugin.run("result = ctx.scratch")
    lists = {"reads": f"{tmp_path}/in, {scratch}", "writes": scratch}
    found = {code: plugin.fails(code) for code in REFUSALS}
    assert found == {code: f"SandboxViolation: {text.format(**lists)}" for code, text in REFUSALS.items()}


def test_a_refusal_of_another_kind_stays_what_it_is(prisoner: Callable[..., Any], tmp_path: Any) -> None:
    """A PermissionError within the policy's own paths, or one that the plugin raises itself, is no violation."""
    closed = tmp_path / "in" / "closed"
    closed.mkdir(parents=True)
    plugin = prisoner(f'write_paths = ["{tmp_path}/in"]\n')
    assert plugin.fails("raise PermissionError('my own')") == "PermissionError: my own"
    assert plugin.fails(f"raise PermissionError(13, 'Permission denied', '{closed}')").startswith("PermissionError: ")


def test_a_plugin_that_is_refused_while_it_loads_says_so(prisoner: Callable[..., Any], fault: Any) -> None:
    """The load fails with the violation for its reason."""
    system = prisoner().system
    bundle = fault("raising_plugin", plugin_id=2)
    (bundle / "plugin.py").write_text("open('/etc/passwd')\n")
    with pytest.raises(Exception, match=r"SandboxViolation: read of '/etc/passwd' denied by policy"):
        system.load(bundle)
