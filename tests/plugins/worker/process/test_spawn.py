"""What the host prepares for a worker."""

from __future__ import annotations

import datetime
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from nyx_plugins.plugins import header as header_module
from nyx_plugins.plugins import sdk
from nyx_plugins.plugins.worker import main, protocol, spawn


def test_an_extra_package_that_is_not_installed_is_named() -> None:
    """The host can't start a worker with a package that it does not have."""
    with pytest.raises(ModuleNotFoundError, match="'no_such_package'"):
        spawn.worker_command(3, 4, ["no_such_package"])


def test_dates_in_a_configuration_become_text() -> None:
    """TOML's dates and times, which plain CBOR can't hold, are given as ISO text."""
    fields = spawn.start_message(
        plugin_id=1,
        name="p",
        bundle="/b",
        entry_point="p:P",
        config={"when": [datetime.date(2024, 2, 29), datetime.time(1, 2)]},
        max_reply_bytes=10,
    )[1]
    assert fields["config"] == {"when": ["2024-02-29", "01:02:00"]}
    assert (fields["jail"], fields["scratch"]) == ([], "")


@pytest.mark.parametrize("value", [object(), {1, 2}, 1 << 64, [{"deep": 2j}]])
def test_what_plain_cbor_cannot_hold_is_refused(value: object) -> None:
    """A configuration value that a worker can't be given is named."""
    with pytest.raises(protocol.ProtocolError, match=r"config\.key"):
        spawn.start_message(
            plugin_id=1, name="p", bundle="/b", entry_point="p:P", config={"key": value}, max_reply_bytes=10
        )


def test_preparing_compiles_what_workers_load() -> None:
    """After prepare() the compiled form of a worker's modules is there, even if Python is to write none."""
    spawn.prepare()
    assert all(
        Path(cache_from_source(str(module.__file__))).exists() for module in (main, protocol, sdk, header_module)
    )
