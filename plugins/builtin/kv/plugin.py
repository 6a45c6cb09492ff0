"""Keeps values by key. A data frame is a CBOR map:

=================================  ==========================================
``{op: "put", key, value}``        keeps ``value``, any CBOR; replies true
``{op: "get", key}``               replies the value, or null
``{op: "delete", key}``            replies whether the key was there
``{op: "keys"}``                   replies the array of keys, sorted
=================================  ==========================================
"""

from __future__ import annotations

from typing import Any

import cbor2

from nyx_plugins.plugins import Context, Frame, Plugin

_FIELDS = {"put": {"op", "key", "value"}, "get": {"op", "key"}, "delete": {"op", "key"}, "keys": {"op"}}
_MISSING = object()


class KeyValue(Plugin):
    """A dictionary with text keys, kept for as long as the worker lives."""

    def on_load(self, ctx: Context) -> None:
        """Start with no keys."""
        self._values: dict[str, Any] = {}

    def on_data(self, frame: Frame) -> bytes:
        """Do what the map in ``data`` says, and reply with CBOR; raises :class:`ValueError` for a bad one."""
        request = _request(frame.data)
        return cbor2.dumps(self._answer(request["op"], request.get("key", ""), request.get("value")))

    def _answer(self, op: str, key: str, value: Any) -> Any:
        match op:
            case "put":
                self._values[key] = value
                return True
            case "get":
                return self._values.get(key)
            case "delete":
                return self._values.pop(key, _MISSING) is not _MISSING
            case _:
                return sorted(self._values)


def _request(data: bytes) -> dict[str, Any]:
    """Read and check a request."""
    try:
        request: object = cbor2.loads(data)
    except cbor2.CBORDecodeError as error:
        raise ValueError(f"data is not CBOR: {error}") from None
    if not isinstance(request, dict):
        raise ValueError(f"data is {type(request).__name__}: expected a map")
    op = request.get("op")
    if not isinstance(op, str) or op not in _FIELDS:
        raise ValueError(f"op is {op!r:.40}: expected {', '.join(_FIELDS)}")
    if set(request) != _FIELDS[op]:
        raise ValueError(f"{op} takes {', '.join(sorted(_FIELDS[op]))}; got {', '.join(sorted(map(str, request)))}")
    if not isinstance(request.get("key", ""), str):
        raise ValueError(f"key is {type(request['key']).__name__}: expected text")
    return request
