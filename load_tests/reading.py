"""Reading results: one file, or all that are in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from nyx_plugins.config.documents import structure
from nyx_plugins.config.errors import Fault

from .errors import NewerResult, NoResult, ResultError
from .result import SCHEMA, Result

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
    return structure(document, Result, source=str(file), error=ResultError)


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
    except RecursionError:
        raise _no_json(file, "is nested too deeply to be one") from None
    except ValueError as error:
        raise _no_json(file, f"is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise _no_json(file, "must be a JSON object")
    return document


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
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
