"""A capture made up here, with an encoder and an oracle that share no code with the product.

The oracle keeps its own books (words, keys, bytes, refusals) while it writes the frames; the system under test reads
the file, and has to come to the same end, frame by frame.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import NyxPluginError, PluginNotRegistered, PluginSystem, Receipt, StreamDecoder

WORDS, ECHO, KEYS, NOBODY = 0x17, 0x18, 0x10000, 0xFFFFFFFF
PERMITTED = {WORDS: (0x51, 0x52, 0x53), ECHO: (0x51, 0x52, 0x53, 0x54), KEYS: (0x52,)}
NAMES = {0x51: "handshake", 0x52: "data_access", 0x53: "control", 0x54: "error_reporting"}
LONG_S = 30.0

# A writer of CBOR.


def item(major: int, number: int, width: int | None = None) -> bytes:
    """Write the head of an item; ``width`` bytes for the number where it need not be the shortest."""
    if width is None:
        if number < 24:
            return bytes([major * 32 + number])
        width = next(size for size in (1, 2, 4, 8) if number < 256**size)
    return bytes([major * 32 + {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + number.to_bytes(width, "big")


def cbor(value: object) -> bytes:
    """Write text, bytes, numbers, booleans, null, lists and maps."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, int):
        return item(0, value)
    if isinstance(value, bytes):
        return item(2, len(value)) + value
    if isinstance(value, str):
        return item(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return item(4, len(value)) + b"".join(map(cbor, value))
    assert isinstance(value, dict)
    return item(5, len(value)) + b"".join(cbor(key) + cbor(of_key) for key, of_key in value.items())


def stream_frame(rng: random.Random, kind: int | str, payload: bytes) -> bytes:
    """Write a frame of a connection, with its length before it."""
    header = {"stream_id": rng.randrange(2**32), "seq": rng.choice([0, rng.randrange(2**64)])}
    body = cbor({"header": {**header, "ty": {"Custom": kind} if isinstance(kind, int) else kind}, "payload": payload})
    return len(body).to_bytes(4, "big") + body


def valid_header(rng: random.Random, plugin_id: int, flags: int, data: bytes) -> bytes:
    """Write a header in one of the ways that a peer may choose."""
    fields = [cbor("id") + cbor(plugin_id), cbor("flags") + cbor(flags), cbor("data") + cbor(data)]
    way = rng.randrange(8)
    if way == 0:
        rng.shuffle(fields)
    elif way == 1:
        fields.insert(rng.randrange(4), cbor("x-unknown") + cbor([1, {"deep": None}]))
    elif way == 2:
        fields[0] = cbor("id") + item(0, plugin_id, 8)
    elif way == 3:
        cut = rng.randint(0, len(data))
        fields[2] = cbor("data") + b"\x5f" + cbor(data[:cut]) + cbor(data[cut:]) + b"\xff"
    elif way == 4:
        return b"\xbf" + b"".join(fields) + b"\xff"
    return item(5, len(fields)) + b"".join(fields)


def malformed_header(rng: random.Random, plugin_id: int) -> bytes:
    """Write what is almost a header."""
    good = cbor({"id": plugin_id, "flags": 0, "data": b"some data"})
    return rng.choice(
        [
            b"",
            good[: rng.randrange(1, len(good))],
            good + b"\x00",
            item(5, 4) + good[1:] + cbor("id") + cbor(plugin_id),
            cbor({"id": plugin_id, "flags": 0}),
            cbor({"id": plugin_id, "flags": 256, "data": b""}),
            cbor({"id": 2**32, "flags": 0, "data": b""}),
            cbor({"id": True, "flags": 0, "data": b""}),
            cbor({"id": plugin_id, "flags": 0, "data": "text"}),
            cbor({"id": plugin_id, "flags": 0, "data": bytes(65_536)}),
            cbor([plugin_id, 0, b""]),
            b"\xc1" + good,
            good.replace(cbor("flags") + b"\x00", cbor("flags") + b"\xf9\x00\x00"),
        ]
    )


# The oracle.


class Oracle:
    """Writes frames and knows what must become of each: an error's name, or the outcome and the reply."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.stream = bytearray()
        self.frames = 0
        self.expected: list[tuple[str, bytes | None]] = []
        self.closes: list[bytes] = []
        self.handled: Counter[int] = Counter()
        self.failed: Counter[int] = Counter()
        self.bytes: Counter[int] = Counter()
        self.violations: Counter[int] = Counter()
        self._words: Counter[str] = Counter()
        self._keys: dict[str, Any] = {}

    def write(self, count: int) -> None:
        """Write as many frames of all sorts."""
        sorts = [self._text, self._text, self._ask_words, self._echo, self._keep, self._keep]
        sorts += [self._foreign, self._wrong_type, self._malformed, self._nobody, self._forbidden, self._sandboxed]
        for _ in range(count):
            self.rng.choice(sorts)()

    @property
    def refused(self) -> Counter[str]:
        """How many frames are refused, by the name of the error."""
        return Counter(what for what, _ in self.expected if what not in ("processed", "failed"))

    # What plugins do.

    def _text(self) -> None:
        if self.rng.random() < 0.1:
            self._accepted(WORDS, 0x52, "failed", data=b"caf\xe9 au lait")
            return
        pieces = ["The", "the", "quick", "brown", "FOX", "fox", "l'été", "x86_64", "ab-cd", "42", "", "Größe"]
        text = self.rng.choice([" ", "\n", ", "]).join(self.rng.choices(pieces, k=self.rng.randrange(40)))
        self._accepted(WORDS, 0x52, "processed", data=text.encode())
        letters = "".join(letter if "a" <= letter <= "z" else " " for letter in text.lower())
        self._words.update(letters.split())

    def _ask_words(self) -> None:
        most = self.rng.randrange(12)
        if most == 11:
            self._accepted(WORDS, 0x53, "failed", data=b"bottom 5")
            return
        ranking = sorted(self._words, key=lambda word: (-self._words[word], word))[:most]
        reply = cbor([[word, self._words[word]] for word in ranking])
        self._accepted(WORDS, 0x53, "processed", reply, b"top %d" % most)

    def _echo(self) -> None:
        data = self.rng.randbytes(self.rng.choice([0, 1, 23, 24, 255, 256, 1000, 30_000]))
        self._accepted(ECHO, self.rng.choice(PERMITTED[ECHO]), "processed", data, data)

    def _keep(self) -> None:
        key, value = self.rng.choice("abcdefgh"), self.rng.choice([0, 23, 2**40, "text", b"\xff", None, [1, "2"]])
        match self.rng.randrange(5):
            case 0:
                self._kept({"op": "put", "key": key, "value": value}, True)
                self._keys[key] = value
            case 1:
                self._kept({"op": "get", "key": key}, self._keys.get(key))
            case 2:
                self._kept({"op": "delete", "key": key}, key in self._keys)
                self._keys.pop(key, None)
            case 3:
                self._kept({"op": "keys"}, sorted(self._keys))
            case 4:
                self._accepted(KEYS, 0x52, "failed", data=self.rng.choice([b"", cbor({"op": "get"}), cbor([])]))

    def _kept(self, request: dict[str, Any], answer: object) -> None:
        self._accepted(KEYS, 0x52, "processed", cbor(answer), cbor(request))

    # What is refused, or not ours.

    def _foreign(self) -> None:
        self._put(self.rng.choice(["Data", "Ack", "Close", "Crypto"]), self.rng.randbytes(9))

    def _wrong_type(self) -> None:
        kind = self.rng.choice([0, 0x4F, 0x50, 0x55, 0x5F, 0x60, 0xFF])
        header = self.rng.choice([malformed_header(self.rng, ECHO), valid_header(self.rng, NOBODY, 1, b"")])
        self._refused(kind, header, "InvalidFrameType")

    def _malformed(self) -> None:
        self._refused(self.rng.choice([0x51, 0x52, 0x53, 0x54]), malformed_header(self.rng, KEYS), "FrameError")

    def _nobody(self) -> None:
        flags = self.rng.choice([0, 1, 2, 255])
        if flags % 2:
            self.closes.append(b"\x00\x07" + NOBODY.to_bytes(4, "big"))
        header = valid_header(self.rng, NOBODY, flags, b"SBX:CONNECT example.com:80")
        self._refused(self.rng.choice([0x51, 0x52, 0x53, 0x54]), header, "PluginNotRegistered")

    def _forbidden(self) -> None:
        plugin_id, kind = self.rng.choice([(WORDS, 0x54), (KEYS, 0x51), (KEYS, 0x53)])
        self.violations[plugin_id] += 1
        self._refused(kind, valid_header(self.rng, plugin_id, 0, b"SBX:nonsense"), "PermissionDenied")

    def _sandboxed(self) -> None:
        plugin_id = self.rng.choice([WORDS, ECHO])
        self.violations[plugin_id] += 1
        request = self.rng.choice([b"SBX:CONNECT example.com:443", b"SBX:OPEN /etc/passwd", b"SBX:", b"SBX:\xff"])
        self._refused(0x53, valid_header(self.rng, plugin_id, 0, request), "SandboxViolation")

    # Keeping the books.

    def _put(self, kind: int | str, payload: bytes) -> None:
        self.frames += 1
        self.stream += stream_frame(self.rng, kind, payload)

    def _refused(self, kind: int, header: bytes, error: str) -> None:
        self.expected.append((error, None))
        self._put(kind, header)

    def _accepted(self, plugin_id: int, kind: int, outcome: str, reply: bytes | None = None, data: bytes = b"") -> None:
        header = valid_header(self.rng, plugin_id, self.rng.randrange(256), data)
        self.expected.append((outcome, reply))
        self.handled[plugin_id] += 1
        self.failed[plugin_id] += outcome == "failed"
        self.bytes[plugin_id] += len(header) + len(data)
        self._put(kind, header)


def outcome_of(result: Receipt | NyxPluginError) -> tuple[str, bytes | None]:
    """Say what became of a frame, in the oracle's words."""
    if isinstance(result, NyxPluginError):
        return type(result).__name__, None
    outcome = result.outcome(LONG_S)
    return str(outcome.kind), outcome.reply


def in_order(system: PluginSystem, frames: list[tuple[int, bytes]]) -> list[Receipt | NyxPluginError]:
    """Send frames; control frames, which would overtake the others, when these are done."""
    results: list[Receipt | NyxPluginError] = []
    sent = 0
    for place in [place for place, (kind, _) in enumerate(frames) if kind == 0x53] + [len(frames)]:
        results += system.dispatch_many(frames[sent:place], timeout=LONG_S)
        sent = place
        system.drain(LONG_S)
    return results


@pytest.mark.parametrize("seed", [1, 2])
def test_the_system_agrees_with_the_oracle(system: PluginSystem, tmp_path: Path, seed: int) -> None:
    """Each of 1,500 frames ends as foreseen: refusal, outcome and reply; and so do all counters."""
    oracle = Oracle(seed)
    oracle.write(1500)
    capture = tmp_path / "made-up.nyxcap"
    capture.write_bytes(oracle.stream)
    for plugin_id, name in ((WORDS, "wordcount"), (ECHO, "echo"), (KEYS, "kv")):
        permissions = [NAMES[kind] for kind in PERMITTED[plugin_id]]
        system.load(f"builtin:{name}", plugin_id=plugin_id, permissions=permissions)

    decoder, frames = StreamDecoder(), []
    with capture.open("rb") as file:
        while piece := file.read(oracle.rng.randrange(1, 5000)):
            frames += decoder.feed(piece)
    decoder.finish()
    ours = [(int(frame.kind), frame.payload) for frame in frames if frame.is_plugin_frame]
    results = in_order(system, ours)

    assert len(frames) == oracle.frames
    assert [outcome_of(result) for result in results] == oracle.expected
    assert [result.close for result in results if getattr(result, "close", None)] == oracle.closes
    assert {type(result) for result in results if getattr(result, "close", None)} == {PluginNotRegistered}
    dispatched = system.dispatch_stats()
    assert dispatched.refused == oracle.refused
    assert dispatched.dispatch_errors == oracle.refused.total()
    assert dispatched.frames_dispatched == oracle.handled.total()
    for plugin_id in PERMITTED:
        stats = system.plugin_stats(plugin_id)
        assert stats.messages_processed == stats.accepted == oracle.handled[plugin_id]
        assert (stats.errors, stats.failed) == (oracle.failed[plugin_id],) * 2
        assert (stats.dead_lettered, stats.in_mailbox) == (0, 0)
        assert stats.bytes_processed == oracle.bytes[plugin_id]
        assert stats.permission_violations == oracle.violations[plugin_id]


@pytest.mark.parametrize("seed", range(3, 8))
def test_each_sort_of_frame_is_there(seed: int) -> None:
    """The made-up captures hold every kind of refusal and outcome, so that agreeing with them says something."""
    oracle = Oracle(seed)
    oracle.write(1500)
    assert min(Counter(what for what, _ in oracle.expected).values()) > 10
    assert set(oracle.refused) == {
        "FrameError",
        "InvalidFrameType",
        "PermissionDenied",
        "PluginNotRegistered",
        "SandboxViolation",
    }
    assert oracle.closes
    assert all(oracle.failed[plugin_id] > 0 for plugin_id in (WORDS, KEYS))
