"""What every test of an error class compares, which classes have one, and systems that provoke them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.config.settings import Settings, SystemSettings

DATA, CONTROL = 0x52, 0x53
PROVOKED: set[type] = set()


def provokes(kind: type[NyxPluginError], builtin: type[Exception] = Exception) -> Callable[[Any], Any]:
    """Note that a test provokes this class, which callers can catch as ``builtin`` too."""
    assert issubclass(kind, builtin)
    PROVOKED.add(kind)
    return lambda test: test


def check(error: BaseException | None, kind: type[NyxPluginError], text: str, **attributes: Any) -> None:
    """Compare class, text and attributes, also after a journey between processes."""
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert type(one) is kind
        assert str(one) == text
        assert {name: getattr(one, name) for name in attributes} == attributes


@pytest.fixture(scope="module", params=["unix", "inline"])
def live(request: pytest.FixtureRequest, short_folder: Callable[[], Path]) -> Iterator[PluginSystem]:
    """Run one system for each transport, with two healthy plugins in it."""
    base = short_folder()
    settings = Settings(system=SystemSettings(transport=request.param, runtime_dir=str(base)))
    with PluginSystem(settings) as system:
        system.load("builtin:echo")
        system.load("builtin:kv")
        yield system
    assert list(base.iterdir()) == []


def refusals(system: PluginSystem, frame_type: int, header: bytes) -> Iterator[BaseException | None]:
    """Send a frame in each of the ways there are, and yield what each of them raises."""
    for send in (system.dispatch, system.dispatch_nowait, system.request):
        with pytest.raises(NyxPluginError) as caught:
            send(frame_type, header)
        yield caught.value
    for wait in (True, False):
        [result] = system.dispatch_many([(frame_type, header)], wait=wait)
        assert isinstance(result, NyxPluginError)
        yield result


def header(plugin_id: int, data: bytes = b"", flags: int = 0) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, flags, data).encode()
