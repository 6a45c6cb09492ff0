"""Reading results: one file, or all that are in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import attrs

from nyx_plugins.config.checks import joined, shown_key
from nyx_plugins.config.documents import structure
from nyx_plugins.config.errors import Fault
from nyx_plugins.config.files import open_at_once

from .errors import NewerResult, NoResult, ResultError
from .histograms import decoded
from .result import SCHEMA, Result, Round, whole

FILE_NAME = "result.json"
MAX_BYTES = 256 * 1024 * 1024


def read(path: Path) -> Result:
    """Return the result at ``path``: a file, or a folder with a ``result.json``.

    Raises :class:`NoResult` where there is none, :class:`NewerResult` for one of a later version, and
    :class:`ResultError` with all faults of a file that is something else.
    """
    file = path / FILE_NAME if path.is_dir() else path
    document = _document(file)
    schema = document.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerResult(file, schema, SCHEMA)
    result = structure(document, Result, source=str(file), error=ResultError)
    if faults := [fault for at, one in enumerate(result.rounds) for fault in _histograms(one, f"rounds[{at}]")]:
        raise ResultError(str(file), faults)
    return result


def checked(made: Round) -> Round:
    """Return a round that somebody else has made, as it is when it is read again.

    Raises :class:`ResultError` with all that is no result, and so could not be read.
    """
    source = f"round {made.number}"
    try:
        document = json.loads(whole(json.dumps(attrs.asdict(made), ensure_ascii=False, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ResultError(source, [Fault("", str(error))]) from None
    one = structure(document, Round, source=source, error=ResultError)
    if faults := list(_histograms(one, "")):
        raise ResultError(source, faults)
    return one


def _histograms(one: Round, key: str) -> Iterator[Fault]:
    """Yield a fault for each histogram that can't be read, or is that of other frames."""
    for name, seen in one.latencies.items():
        place = joined(joined(key, "latencies"), joined(shown_key(name), "histogram"))
        found = decoded(seen.histogram) if seen.histogram else None
        if seen.histogram and found is None:
            yield Fault(place, "must be an HdrHistogram, V2 compressed and base64 encoded")
        elif found is not None and found.get_total_count() != seen.count:
            yield Fault(place, f"must be of count ({seen.count:,}) frames, not of {found.get_total_count():,}")


def read_all(path: Path) -> tuple[Result, ...]:
    """Return the result at ``path``, or those of all the ``*.json`` files in and below that folder.

    Raises what :func:`read` raises.
    """
    if not path.is_dir():
        return (read(path),)
    files = sorted(path.rglob("*.json"))
    if not files:
        raise NoResult(path, "the folder has no file with a name that ends in .json")
    return tuple(read(file) for file in files)


def _document(file: Path) -> Mapping[str, Any]:
    data = _bytes(file)
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse)
        if b"\\u" in data:
            document = json.loads(whole(json.dumps(document, ensure_ascii=False)))
    except RecursionError:
        raise _no_json(file, "is nested too deeply to be one") from None
    except ValueError as error:
        raise _no_json(file, f"is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise _no_json(file, "must be a JSON object")
    return document


def _bytes(file: Path) -> bytes:
    try:
        with open(file, "rb", opener=open_at_once) as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise NoResult(file, error.strerror or str(error)) from None
    if len(data) > MAX_BYTES:
        raise NoResult(file, f"it is longer than the {MAX_BYTES:,} bytes that are read")
    return data


def _no_json(file: Path, reason: str) -> ResultError:
    return ResultError(str(file), [Fault("", reason)])


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
