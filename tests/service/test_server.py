"""The service without a system: what SIGHUP does when something goes wrong."""

from __future__ import annotations

import logging
from unittest import mock

import pytest

from nyx_plugins.config.settings import Settings
from nyx_plugins.service.notify import Notifier
from nyx_plugins.service.server import Server


def test_a_mistake_while_the_configuration_is_read_again_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is one line in the log, systemd is told that the reload is over, and there can be another."""
    server = Server(mock.Mock(side_effect=[Settings(), ZeroDivisionError("by zero"), ZeroDivisionError("again")]))
    server._notifier = notifier = mock.Mock(Notifier)
    with caplog.at_level(logging.ERROR, "nyx_plugins.service"):
        server._reload()
        server._reload()
    part = "the configuration was read again in part: ZeroDivisionError:"
    assert [record.getMessage() for record in caplog.records] == [f"{part} by zero", f"{part} again"]
    assert all(record.exc_info is None for record in caplog.records)
    reload = [mock.call.reloading(), mock.call.ready("configuration read again")]
    assert notifier.method_calls == reload * 2
