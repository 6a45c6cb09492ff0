"""The JSON Schema of a result, made of its classes and their docstrings.

``python -P -m nyx_plugins.load_tests.schema`` prints it; ``docs/load-test-result.schema.json`` keeps it for readers in
other languages.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from .result import SCHEMA, Result
from .rules import Rule

_SCALARS: dict[object, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    object: {},
}
_NULL = "null"


def document() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a result file."""
    schema = _object(Result)
    schema["properties"]["schema"] = {"const": SCHEMA, "description": "Version of this schema."}
    definitions = {cls.__name__: _definition(cls) for cls in sorted(_below(Result), key=lambda cls: cls.__name__)}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Result of a load test"}
    return {**head, **schema, "$defs": definitions}


def text() -> str:
    """Return the schema as the file in ``docs`` has it."""
    return json.dumps(document(), indent=2) + "\n"


def _definition(cls: type[Any]) -> dict[str, Any]:
    return _choice(cls) if issubclass(cls, StrEnum) else _object(cls)


def _object(cls: type[Any]) -> dict[str, Any]:
    hints, notes, fields = get_type_hints(cls), _notes(cls), attrs.fields(cls)
    described = {field.name: {"description": notes[field.name]} for field in fields if field.name in notes}
    return {
        "description": inspect.getdoc(cls),
        "type": "object",
        "properties": {
            field.name: _narrowed(_type(hints[field.name]), field.validator) | described.get(field.name, {})
            for field in fields
        },
        "required": [field.name for field in fields if field.default is attrs.NOTHING],
        "additionalProperties": False,
    }


def _narrowed(schema: dict[str, Any], validator: object) -> dict[str, Any]:
    """Add what a rule says of a field, or of its items."""
    if not isinstance(validator, Rule):
        return schema
    inner = {name: schema[name] | value for name, value in validator.schema.items() if name in schema}
    return schema | dict(validator.schema) | inner


def _choice(cls: type[StrEnum]) -> dict[str, Any]:
    notes = _notes(cls)
    members = [f"{member.value}: {notes[member.name]}" for member in cls if member.name in notes]
    return {"description": " ".join([inspect.getdoc(cls) or "", *members]), "enum": [member.value for member in cls]}


def _type(hint: Any) -> dict[str, Any]:
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if get_origin(hint) is UnionType:
        return {"type": [_NULL if kind is NoneType else _SCALARS[kind]["type"] for kind in get_args(hint)]}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _type(get_args(hint)[0])}
    if get_origin(hint) is Mapping:
        return {"type": "object", "additionalProperties": _type(get_args(hint)[1]) or True}
    return {"$ref": f"#/$defs/{hint.__name__}"}


def _below(cls: type[Any]) -> set[type[Any]]:
    """Return the classes of our own that ``cls`` is made of, at any depth."""
    found = set[type[Any]]()
    for hint in get_type_hints(cls).values():
        own = [part for part in _parts(hint) if _is_own(part)]
        found.update(own, *(_below(part) for part in own if attrs.has(part)))
    return found


def _is_own(part: Any) -> bool:
    return attrs.has(part) or (inspect.isclass(part) and issubclass(part, StrEnum))


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


def _notes(cls: type[Any]) -> dict[str, str]:
    """Return the docstrings below the fields or members of a class, by name."""
    (tree,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(tree, ast.ClassDef)
    pairs = zip(tree.body, tree.body[1:], strict=False)
    return {_name(field): note for field, after in pairs if _name(field) and (note := _string(after))}


def _name(statement: ast.stmt) -> str:
    match statement:
        case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
            return name
    return ""


def _string(statement: ast.stmt) -> str:
    match statement:
        case ast.Expr(ast.Constant(str() as value)):
            return inspect.cleandoc(value)
    return ""


if __name__ == "__main__":
    print(text(), end="")
