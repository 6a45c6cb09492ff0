"""The bundled plugins, run as a worker runs them."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nyx_plugins.plugins.builtin
from nyx_plugins.plugins.sdk import Context
from nyx_plugins.plugins.worker.runner import Runner, load_plugin

BUILTIN = Path(str(nyx_plugins.plugins.builtin.__file__)).parent
HANDSHAKE, DATA, CONTROL, ERROR = 0x51, 0x52, 0x53, 0x54


class Bundled:
    """A bundled plugin, loaded by the entry point of its manifest."""

    def __init__(self, name: str) -> None:
        self.manifest = tomllib.loads((BUILTIN / name / "plugin.toml").read_text())
        ctx = Context(1, name, {}, emit=lambda *_: None, log=lambda *_: None, max_emit_bytes=1_000)
        plugin = load_plugin(str(BUILTIN / name), self.manifest["entry_point"], ctx, private=True)
        self._runner = Runner(plugin, 1 << 20)

    def send(self, data: bytes, frame_type: int = DATA) -> bytes | list[str] | None:
        """Run one frame, and return its result."""
        return self._runner.run(frame_type, cbor2.dumps({"id": 1, "flags": 0, "data": data}))

    def ask(self, data: bytes, frame_type: int = DATA) -> Any:
        """Run one frame, and return its CBOR reply."""
        result = self.send(data, frame_type)
        assert isinstance(result, bytes), result
        return cbor2.loads(result)

    def fault(self, data: bytes, frame_type: int = DATA) -> str:
        """Run one frame that must fail with a ValueError, and return its text."""
        result = self.send(data, frame_type)
        assert isinstance(result, list)
        assert result[0] == "ValueError"
        return result[1]


@pytest.mark.parametrize(
    ("name", "plugin_id", "permissions"),
    [
        ("echo", 1002, ["handshake", "data_access", "control", "error_reporting"]),
        ("wordcount", 1001, ["handshake", "data_access", "control", "error_reporting"]),
        ("kv", 1003, ["handshake", "data_access"]),
    ],
)
def test_manifests(name: str, plugin_id: int, permissions: list[str]) -> None:
    """Each bundle has its documented id, name and permissions."""
    manifest = Bundled(name).manifest
    assert (manifest["id"], manifest["name"], manifest["permissions"]) == (plugin_id, name, permissions)


@given(st.binary(max_size=100), st.sampled_from([HANDSHAKE, DATA, CONTROL, ERROR]))
def test_echo_replies_with_the_data_of_any_frame(data: bytes, frame_type: int) -> None:
    """Echo sends back what it gets, whatever the type."""
    assert ECHO.send(data, frame_type) == data


ECHO = Bundled("echo")


def test_wordcount_ranks_words() -> None:
    """Runs of a to z are counted whatever their case; the most frequent come first, equals in alphabetical order."""
    plugin = Bundled("wordcount")
    assert plugin.send(b"The cat. The dog! A bird, a cat") is None
    assert plugin.send("Ähm, THE ähm".encode()) is None
    assert plugin.ask(b"top 4", CONTROL) == [["the", 3], ["a", 2], ["cat", 2], ["hm", 2]]
    assert plugin.ask(b"top 0", CONTROL) == []
    assert len(plugin.ask(b"top 999999", CONTROL)) == 6


@given(st.lists(st.lists(st.sampled_from(["one", "two", "three"]), max_size=5), max_size=5))
def test_wordcount_counts_every_word_once(texts: list[list[str]]) -> None:
    """The counts are those of all frames together."""
    plugin = Bundled("wordcount")
    for words in texts:
        plugin.send(" ".join(words).encode())
    counts = Counter(word for words in texts for word in words)
    assert dict(plugin.ask(b"top 10", CONTROL)) == counts


@pytest.mark.parametrize("data", [b"", b"top", b"top -1", b"top 1234567", b"TOP 1", b"top 1\n", b"SBX:OPEN /", b"\xff"])
def test_wordcount_refuses_other_control_data(data: bytes) -> None:
    """Control data other than 'top N' fails."""
    assert Bundled("wordcount").fault(data, CONTROL)


def test_wordcount_refuses_what_is_no_text() -> None:
    """Data that is not UTF-8 fails, and says where; nothing of it is counted."""
    plugin = Bundled("wordcount")
    assert plugin.fault(b"good \xff") == "data is not UTF-8 text: byte 5 is 0xff"
    assert plugin.ask(b"top 1", CONTROL) == []


keys = st.sampled_from(["a", "b", ""])
values = st.none() | st.integers(-(2**70), 2**70) | st.text("xé", max_size=5) | st.lists(st.booleans(), max_size=3)
operations = st.one_of(
    st.fixed_dictionaries({"op": st.just("put"), "key": keys, "value": values}),
    st.fixed_dictionaries({"op": st.sampled_from(["get", "delete"]), "key": keys}),
    st.just({"op": "keys"}),
)


@given(st.lists(operations, max_size=20))
def test_kv_behaves_like_a_dictionary(requests: list[dict[str, Any]]) -> None:
    """Whatever the order of requests, the replies are those of a dictionary."""
    plugin, model = Bundled("kv"), dict[str, Any]()
    for request in requests:
        assert plugin.ask(cbor2.dumps(request)) == apply(model, request)


def apply(model: dict[str, Any], request: dict[str, Any]) -> Any:
    """Do to ``model`` what the request says, and return the reply that is due."""
    match request["op"]:
        case "put":
            model[request["key"]] = request["value"]
            return True
        case "get":
            return model.get(request["key"])
        case "delete":
            return model.pop(request["key"], model) is not model
        case _:
            return sorted(model)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ([], "data is list: expected a map"),
        ({}, "op is None: expected put, get, delete, keys"),
        ({"op": "drop"}, "op is 'drop'"),
        ({"op": ["put"]}, "op is ['put']"),
        ({"op": "put", "key": "a"}, "put takes key, op, value; got key, op"),
        ({"op": "keys", "key": "a"}, "keys takes op; got key, op"),
        ({"op": "get", "key": 1}, "key is int: expected text"),
        ({"op": "get", "key": None}, "key is NoneType"),
        ({"op": "get", "key": "a", 3: 4}, "get takes key, op; got 3, key, op"),
    ],
)
def test_kv_refuses_bad_requests(request_: object, text: str) -> None:
    """A request of another form fails, with what was expected; nothing is changed."""
    plugin = Bundled("kv")
    assert text in plugin.fault(cbor2.dumps(request_))
    assert plugin.ask(cbor2.dumps({"op": "keys"})) == []


def test_kv_refuses_what_is_no_cbor() -> None:
    """Data that is not CBOR fails."""
    assert Bundled("kv").fault(b"\xff").startswith("data is not CBOR")


@pytest.mark.parametrize("name", ["wordcount", "kv"])
def test_handshakes_need_no_reply(name: str) -> None:
    """A handshake frame is taken in silence."""
    assert Bundled(name).send(b"any", HANDSHAKE) is None
