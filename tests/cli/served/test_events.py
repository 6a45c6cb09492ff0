"""Events of a service, followed from another terminal, in every way that following can end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader

Service = Any
Process = subprocess.Popen[str]
Follow = Callable[..., Any]

PATIENCE_S = 100


@pytest.fixture
def follow() -> Follow:
    """Return a function that follows events for the length of a block; it is under way when the block begins."""

    @contextmanager
    def started(service: Service, *arguments: str, **options: Any) -> Iterator[Process]:
        process: Process = service.start("events", *arguments, "--json", **options)
        try:
            assert process.stdout is not None
            yield process
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    return started


def until_first(service: Service, process: Process) -> dict[str, Any]:
    """Let events happen until the first is told; the command may not have subscribed yet."""
    assert process.stdout is not None
    with service.connect() as system:
        system.load("builtin:echo", plugin_id=77)
        while not select.select([process.stdout], [], [], 0.2)[0]:
            assert process.poll() is None
            system.unload(77)
            system.load("builtin:echo", plugin_id=77)
    first: dict[str, Any] = json.loads(process.stdout.readline())
    return first


def test_each_event_is_a_line_that_is_there_at_once(
    service: Service, follow: Follow, fault: Callable[..., Path]
) -> None:
    """What a program reads from the pipe has happened just now: loaded, crashed, restarted, unloaded."""
    with follow(service) as process:
        first = until_first(service, process)
        assert set(first) == {"time", "kind", "plugin_id", "reason"} and first["plugin_id"] == 77
        assert first["time"].endswith("Z")
        with service.connect() as system:
            system.load(fault("crashing_plugin"))
            assert system.dispatch(0x52, PluginHeader(1, 0, b"crash")).outcome(PATIENCE_S).kind == "dead_lettered"
            wanted = [(1, kind) for kind in ("loaded", "ready", "crashed", "restarted", "unloaded")]
            found: list[tuple[int, str]] = []
            while wanted[:-1] != [event for event in found if event in wanted]:
                told = json.loads(process.stdout.readline())
                found.append((told["plugin_id"], told["kind"]))
            system.unload(1)
        while (1, "unloaded") not in found:
            told = json.loads(process.stdout.readline())
            found.append((told["plugin_id"], told["kind"]))


def test_it_ends_after_so_many(service: Service, follow: Follow) -> None:
    """Exit code 0, and not one line more."""
    with follow(service, "--count", "2") as process:
        until_first(service, process)
        with service.connect() as system:
            system.unload(77)  # the first that was told may have been the last that happened
        rest, errors = process.stdout.read(), process.stderr.read()
        assert (process.wait(PATIENCE_S), rest.count("\n"), errors) == (0, 1, "")


def test_ctrl_c_ends_it_in_silence(service: Service, follow: Follow) -> None:
    """Exit code 130, and the service goes on."""
    with follow(service) as process:
        until_first(service, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (130, "")
    assert service.run("status").returncode == 0


def test_a_reader_that_goes_ends_it(service: Service, follow: Follow) -> None:
    """Without any further event, and in silence."""
    with follow(service) as process:
        until_first(service, process)
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == ""


def test_a_pipeline_ends_as_soon_as_its_reader_has_enough(service: Service) -> None:
    """In a shell, ``events | head -1`` comes back, and nothing is said of a broken pipe."""
    command = f"{service.command} events --json | head -1"
    pipeline = subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", command],
        env=service.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert until_first(service, pipeline)["plugin_id"] == 77
    _, errors = pipeline.communicate(timeout=PATIENCE_S)
    assert (pipeline.returncode, errors) == (0, "")


def test_a_full_device_is_one_sentence(service: Service) -> None:
    """What can't be written is no reason to go on."""
    with open(os.devnull) as nothing, open("/dev/full", "w") as full:
        process = service.start("events", "--json", stdin=nothing, stdout=full)
        with service.connect() as system:
            while process.poll() is None:
                system.load("builtin:echo", plugin_id=77)
                system.unload(77)
        assert process.returncode == 2
        assert process.stderr.read().splitlines() == ["Error: the output can't be written: No space left on device"]
        process.stderr.close()


def test_the_end_of_the_service_ends_it(own_service: Service, follow: Follow) -> None:
    """Exit code 3, and one sentence; the events of the end come before."""
    with follow(own_service) as process:
        until_first(own_service, process)
        own_service.stop()
        told, errors = process.stdout.read(), process.stderr.read()
        assert process.wait(PATIENCE_S) == 3
    assert errors.startswith("Error: the plugin system has stopped: ") and errors.count("\n") == 1
    assert json.loads(told.splitlines()[-1])["kind"] == "unloaded"


def test_what_plugins_emit_is_told_when_it_is_asked_for(
    service: Service, follow: Follow, fault: Callable[..., Path]
) -> None:
    """With its type, its flags, and its data in both notations."""
    with follow(service, "--emits") as process, service.connect() as system:
        until_first(service, process)
        system.load(fault("obedient_plugin"))
        system.dispatch(0x52, PluginHeader(1, 0, b"emit 1"))
        while (told := json.loads(process.stdout.readline()))["kind"] != "emitted":
            pass
        assert set(told) == {"time", "kind", "plugin_id", "frame_type", "flags", "data_hex", "data_text"}
        assert (told["plugin_id"], told["frame_type"], told["flags"], told["data_text"]) == (1, 0x53, 7, "0")


def test_people_see_names(service: Service) -> None:
    """Time, kind, plugin and reason are one line."""
    process = service.start("events", "--count", "1")
    with service.connect() as system:
        while process.poll() is None:
            system.load("builtin:echo", plugin_id=77)
            system.unload(77)
    told, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert told.split()[1:] in (
        ["loaded", "echo", "(77)"],
        ["ready", "echo", "(77)"],
        ["unloaded", "echo", "(77)"],
        ["unloaded", "plugin", "77"],
    )
