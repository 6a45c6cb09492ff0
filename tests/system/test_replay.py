"""The bundled capture, replayed: every figure that is published with it comes out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from importlib.resources import files
from typing import Any

import attrs
import cbor2
import pytest

from nyx_plugins import PluginHeader, PluginNotRegistered, PluginSystem, Receipt, StreamDecoder, StreamFrame

DATA = files("nyx_plugins") / "data"
EXPECTED = json.loads((DATA / "licences.expected.json").read_text())
LONG_S = 30.0

CAUSES = {
    "SandboxViolation": "sandbox_violation",
    "PluginNotRegistered": "plugin_not_registered",
    "FrameError": "frame_error",
    "InvalidFrameType": "invalid_frame_type",
}


def capture() -> list[StreamFrame]:
    """Read the capture in pieces of a size that no frame knows of."""
    decoder, frames, raw = StreamDecoder(), [], (DATA / "licences.nyxcap").read_bytes()
    for start in range(0, len(raw), 4099):
        frames += decoder.feed(raw[start : start + 4099])
    decoder.finish()
    return frames


def ask(system: PluginSystem, plugin_id: int, frame_type: int, data: bytes) -> Any:
    """Send a request to a plugin and decode its reply."""
    reply = system.request(frame_type, PluginHeader(plugin_id, 0, data), LONG_S)
    assert reply is not None
    return cbor2.loads(reply)


def ranking(system: PluginSystem) -> list[list[Any]]:
    """Ask for all words with their counts."""
    found: list[list[Any]] = ask(system, 1001, 0x53, b"top 100000")
    return found


def kept(system: PluginSystem) -> dict[str, str]:
    """Ask for all keys with their values."""
    keys = ask(system, 1003, 0x52, cbor2.dumps({"op": "keys"}))
    return {key: ask(system, 1003, 0x52, cbor2.dumps({"op": "get", "key": key})) for key in keys}


@pytest.fixture
def loaded(system: PluginSystem) -> PluginSystem:
    """Return a system with the plugins that the capture is for."""
    for name in ("wordcount", "echo", "kv"):
        system.load(f"builtin:{name}")
    return system


def test_every_figure_of_the_capture_comes_out(loaded: PluginSystem) -> None:
    """Counts of frames, refusals by cause, statistics by plugin, words and keys are those of the expected file."""
    stream = capture()
    ours = [frame for frame in stream if frame.is_plugin_frame]
    results = loaded.dispatch_many([(int(frame.kind), frame.payload) for frame in ours], timeout=LONG_S)
    loaded.drain(LONG_S)
    refused = [result for result in results if not isinstance(result, Receipt)]
    dispatched = loaded.dispatch_stats()
    by_plugin = {str(number): attrs.asdict(loaded.plugin_stats(number)) for number in (1001, 1002, 1003)}
    words, pairs = ranking(loaded), kept(loaded)
    text = "".join(f"{key}\0{value}\0" for key, value in sorted(pairs.items()))

    assert {
        "stream_frames": len(stream),
        "not_plugin_frames": len(stream) - len(ours),
        "plugin_frames": len(ours),
        "accepted": len(results) - len(refused),
        "refused": dict(Counter(CAUSES[type(error).__name__] for error in refused)),
        "dispatch_errors": dispatched.dispatch_errors,
        "close_owed": [
            {"code": int.from_bytes(error.close[:2], "big"), "id": int.from_bytes(error.close[2:], "big")}
            for error in refused
            if isinstance(error, PluginNotRegistered) and error.close is not None
        ],
        "plugins": {
            number: {name: by_plugin[number][name] for name in figures}
            for number, figures in EXPECTED["plugins"].items()
        },
        "wordcount": {
            "rule": EXPECTED["wordcount"]["rule"],
            "words": sum(count for _, count in words),
            "distinct": len(words),
            "top_20": words[:20],
        },
        "kv": {
            "keys": len(pairs),
            "sha256_rule": EXPECTED["kv"]["sha256_rule"],
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
    } == {name: value for name, value in EXPECTED.items() if name != "about"}
    assert dispatched.frames_dispatched == EXPECTED["accepted"]
    assert Counter({CAUSES[cause]: count for cause, count in dispatched.refused.items()}) == EXPECTED["refused"]


def test_every_frame_of_the_capture_is_accounted_for(loaded: PluginSystem) -> None:
    """Each accepted frame has one outcome, and each plugin's counters add up to what was sent to it."""
    frames = [(int(frame.kind), frame.payload) for frame in capture() if frame.is_plugin_frame]
    receipts = [item for item in loaded.dispatch_many(frames, timeout=LONG_S) if isinstance(item, Receipt)]
    outcomes = Counter((receipt.plugin_id, str(receipt.outcome(LONG_S).kind)) for receipt in receipts)
    for number in (1001, 1002, 1003):
        stats = loaded.plugin_stats(number)
        assert stats.accepted == stats.processed + stats.failed + stats.dead_lettered
        assert (stats.processed, stats.failed, stats.dead_lettered, stats.in_mailbox) == (
            outcomes[number, "processed"],
            outcomes[number, "failed"],
            outcomes[number, "dead_lettered"],
            0,
        )
