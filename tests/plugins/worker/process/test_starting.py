"""How real workers start, and how they fail to."""

from __future__ import annotations

from typing import Any

import pytest

from nyx_plugins.plugins.worker import protocol
from nyx_plugins.plugins.worker.answers import Emit, Log, Ready, StartFailed

from .conftest import Peer, Start


def test_a_plugin_that_fails_to_load_says_why(started: Start) -> None:
    """When on_load raises, the traceback is logged, START_FAILED names the error, and the worker ends."""
    worker = started("def on_load(self, ctx): raise ValueError('no luck')")
    log, failed = worker.rest()
    assert isinstance(log, Log)
    assert log.lines[0].level == 40
    assert "plugin.py" in log.lines[0].text
    assert failed == StartFailed("ValueError", "no luck")
    assert worker.ended() == 1


def test_an_error_without_a_traceback_is_named(started: Start) -> None:
    """An exception whose own parts prevent its traceback is what the start fails with, in the log too."""
    worker = started("def on_load(self, ctx): raise SyntaxError('odd', ('f', 'no line', object(), 5))")
    log, failed = worker.rest()
    assert isinstance(log, Log)
    assert log.lines[0].text.startswith("SyntaxError: odd (f) (its traceback can't be had: ")
    assert failed == StartFailed("SyntaxError", "odd (f)")
    assert worker.ended() == 1


@pytest.mark.parametrize(
    ("entry_point", "module", "error_type", "text"),
    [
        ("plugin", "pass", "ImportError", "not of the form 'module:Class'"),
        ("nothing:P", "pass", "ImportError", "there is no module 'nothing' in "),
        ("plugin:P", "pass", "ImportError", "module 'plugin' has no 'P'"),
        ("plugin:P", "P = 3", "TypeError", "is not a subclass of nyx_plugins.plugins.Plugin"),
        ("plugin:P", "class P: pass", "TypeError", "is not a subclass of"),
        ("plugin:P", "class", "SyntaxError", "invalid syntax (plugin.py, line 1)"),
        ("plugin:P", "import hypothesis", "ModuleNotFoundError", "No module named 'hypothesis'"),
        ("plugin:P", "raise SystemExit(3)", "SystemExit", "3"),
    ],
)
def test_entry_point_faults(started: Start, entry_point: str, module: str, error_type: str, text: str) -> None:
    """An entry point that can't be had, for whatever reason, is a failed start with a clear text."""
    failed = started(module=module, entry_point=entry_point).rest()[-1]
    assert isinstance(failed, StartFailed)
    assert failed.type == error_type
    assert text in failed.text


def test_what_is_sent_while_loading_comes_before_ready(started: Start) -> None:
    """Logs and emits of on_load are there when the plugin is ready."""
    worker = started("def on_load(self, ctx):\n    ctx.logger.info('loading')\n    ctx.emit(b'hello')")
    kinds = [type(worker.answer()) for _ in range(3)]
    assert kinds == [Log, Emit, Ready]


@pytest.mark.parametrize(
    "message",
    [[protocol.BATCH, 0, b"", b"", b""], [99], [protocol.START, {}]],
    ids=["early batch", "unknown", "empty start"],
)
def test_a_message_out_of_place_ends_the_worker(message: list[Any]) -> None:
    """A worker that does not understand its host ends with a failure."""
    peer = Peer()
    try:
        peer.send(message)
        peer.rest()
        assert peer.ended() == 1
    finally:
        peer.close()
