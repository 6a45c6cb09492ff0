"""The JSON Schema of a result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from nyx_plugins.load_tests import schema
from nyx_plugins.load_tests.result import Result, to_json

Forging = Callable[..., Result]
PUBLISHED = Path(__file__).parents[2] / "docs" / "load-test-result.schema.json"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """Return what tells whether a document is a result."""
    Draft202012Validator.check_schema(schema.document())
    return Draft202012Validator(schema.document())


def test_the_published_schema_is_that_of_the_classes() -> None:
    """Whoever changes the classes writes it anew: python -P -m nyx_plugins.load_tests.schema >docs/..."""
    assert PUBLISHED.read_text(encoding="utf-8") == schema.text()


@pytest.mark.parametrize("how", [{"rounds": 0}, {"rounds": 1}, {"rounds": 5, "plugins": 3, "stall_s": 1.0}])
def test_what_is_written_keeps_to_it(how: dict[str, Any], forge: Forging, validator: Draft202012Validator) -> None:
    """Results of any kind have no fault."""
    assert list(validator.iter_errors(json.loads(to_json(forge(**how))))) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda it: it.pop("scenario"), []),
        (lambda it: it.update(novelty=1), []),
        (lambda it: it.update(mode="ajar"), ["mode"]),
        (lambda it: it.update(schema=2), ["schema"]),
        (lambda it: it["rounds"][0]["counts"].update(lost="1"), ["rounds", 0, "counts", "lost"]),
        (lambda it: it["rounds"][0]["counts"].update(offered=-3), ["rounds", 0, "counts", "offered"]),
        (lambda it: it["rounds"][0]["marks"][0].update(at_s=1e300), ["rounds", 0, "marks", 0, "at_s"]),
        (lambda it: it["rounds"][0]["series"][0].update(values=[1e19]), ["rounds", 0, "series", 0, "values", 0]),
        (lambda it: it["checks"][0].update(measured="none"), ["checks", 0, "measured"]),
        (lambda it: it["rounds"][0]["series"][0].update(at_s=["x"]), ["rounds", 0, "series", 0, "at_s", 0]),
        (lambda it: it["rounds"][0]["metrics"]["p99"].pop("unit"), ["rounds", 0, "metrics", "p99"]),
    ],
)
def test_what_is_no_result_has_a_fault(
    change: Callable[[Any], None], path: list[object], forge: Forging, validator: Draft202012Validator
) -> None:
    """At the place where it is."""
    document = json.loads(to_json(forge(rounds=1)))
    change(document)
    (error,) = validator.iter_errors(document)
    assert list(error.absolute_path) == path


def test_every_class_and_most_fields_are_explained() -> None:
    """The docstrings of the classes and of their fields are the descriptions."""
    document = schema.document()
    assert all(definition["description"] for definition in document["$defs"].values())
    assert document["$defs"]["Counts"]["properties"]["lost"]["description"].startswith("Nobody can say what became")
    assert "closed: The next one when an earlier one is done" in document["$defs"]["Mode"]["description"]
