"""Documents: TOML with its place of error, and structuring that lists every fault."""

from __future__ import annotations

from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config import ConfigError, Fault, checks
from nyx_plugins.config.documents import parse_toml, structure
from nyx_plugins.plugins.errors import ManifestError


@attrs.frozen
class Inner:
    """A nested table."""

    size: int = attrs.field(default=1, validator=checks.whole(1, 10))
    names: tuple[str, ...] = attrs.field(default=(), validator=checks.each(checks.text("[a-z]+", "lower case")))


@attrs.frozen
class Outer:
    """A document with every kind of field."""

    name: str
    ratio: float = 0.5
    on: bool = False
    count: int | None = None
    mode: Literal["a", "b"] = "a"
    inner: Inner = attrs.field(factory=Inner, validator=checks.instance_of(Inner))
    items: tuple[Inner, ...] = attrs.field(default=(), validator=checks.each(checks.instance_of(Inner)))
    table: dict[str, str] = attrs.field(factory=dict)
    free: dict[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        """Stand for a rule between fields."""
        if self.name == self.mode:
            raise ConfigError("Outer", [Fault("name", "must not be the mode")])


def faults(data: dict[str, Any]) -> list[str]:
    """What is wrong with the data, in order."""
    with pytest.raises(ConfigError) as caught:
        structure(data, Outer, source="x.toml")
    assert caught.value.source == "x.toml"
    return [str(fault) for fault in caught.value.faults]


def test_a_full_document_becomes_an_instance() -> None:
    """Nested tables, lists of tables and free tables find their fields."""
    data = {
        "name": "n",
        "ratio": 1,
        "on": True,
        "count": 3,
        "mode": "b",
        "inner": {"size": 2, "names": ["x"]},
        "items": [{"size": 3}, {}],
        "table": {"k": "v"},
        "free": {"deep": [1, {"x": 2.5}]},
    }
    expected = Outer(
        "n", 1.0, True, 3, "b", Inner(2, ("x",)), (Inner(3), Inner()), {"k": "v"}, {"deep": [1, {"x": 2.5}]}
    )
    assert structure(data, Outer, source="x.toml") == expected


def test_an_integer_becomes_a_float_where_one_is_wanted() -> None:
    """The value is a float afterwards, not an integer."""
    assert type(structure({"name": "n", "ratio": 1}, Outer, source="x").ratio) is float


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", 5, "name: must be a string, not an integer (5)"),
        ("ratio", "1", "ratio: must be a number, not a string ('1')"),
        ("ratio", True, "ratio: must be a number, not a boolean (True)"),
        ("on", 1, "on: must be a boolean, not an integer (1)"),
        ("count", True, "count: must be an integer, not a boolean (True)"),
        ("count", 1.0, "count: must be an integer, not a number (1.0)"),
        ("count", "1", "count: must be an integer, not a string ('1')"),
        ("mode", "c", "mode: must be one of 'a', 'b', not a string ('c')"),
        ("mode", [], "mode: must be one of 'a', 'b', not an array"),
        ("inner", [], "inner: must be a table, not an array"),
        ("items", {}, "items: must be an array, not a table"),
        ("items", "abc", "items: must be an array, not a string ('abc')"),
        ("items", [{"size": 0}], "items[0].size: must be a whole number from 1 to 10, not 0"),
        ("table", {"a.b": 5}, "table.'a.b': must be a string, not an integer (5)"),
        ("table", 5, "table: must be a table, not an integer (5)"),
        ("free", 5, "free: must be a table, not an integer (5)"),
    ],
)
def test_types_are_strict_and_the_fault_names_key_and_value(key: str, value: object, expected: str) -> None:
    """Nothing is converted on the quiet, and the reason says what was found."""
    assert faults({"name": "n", key: value}) == [expected]


def test_a_huge_integer_is_no_float() -> None:
    """A hexadecimal number beyond every float is a fault, not an OverflowError."""
    assert faults({"name": "n", "ratio": 16**5000}) == [
        "ratio: must be a number, not an integer (an integer of 20,001 bits)"
    ]


def test_all_faults_are_listed_at_once() -> None:
    """Wrong types, ranges, missing and unknown keys of all levels come together, each with its key."""
    data = {
        "ratio": "x",
        "inner": {"size": 11, "names": ["ok", "NOT", 5], "sise": 2},
        "items": [{"size": 1}, {"size": 0}, 7],
        "tabel": {},
    }
    assert faults(data) == [
        "ratio: must be a number, not a string ('x')",
        "inner.size: must be a whole number from 1 to 10, not 11",
        "inner.names[2]: must be a string, not an integer (5)",
        "inner.names[1]: must be lower case, not 'NOT'",
        "inner.sise: unknown key; did you mean 'size'?",
        "items[1].size: must be a whole number from 1 to 10, not 0",
        "items[2]: must be a table, not an integer (7)",
        "name: is missing",
        "tabel: unknown key; did you mean 'table'?",
    ]


def test_an_unknown_key_without_a_near_one_lists_the_known() -> None:
    """Where no suggestion fits, the reader sees what there is."""
    assert faults({"name": "n", "inner": {"zzz": 1}}) == ["inner.zzz: unknown key (known: size, names)"]


def test_an_endless_list_of_faults_is_cut() -> None:
    """After a hundred faults the rest is only counted, so that no document can make the text endless."""
    found = faults({"name": "n"} | {f"key{n}": 0 for n in range(5000)})
    assert (len(found), found[-1]) == (101, "and 4,900 more faults")


def test_rules_between_fields_are_checked_last() -> None:
    """A fault that only the whole class can see is listed like any other."""
    assert faults({"name": "a"}) == ["name: must not be the mode"]


def test_the_caller_chooses_the_error() -> None:
    """The same faults serve the manifest's own error."""
    with pytest.raises(ManifestError, match=r"manifest p/plugin\.toml: name: is missing"):
        structure({}, Outer, source="p/plugin.toml", error=ManifestError)


@pytest.mark.parametrize("data", [[], "x", None, 5])
def test_a_document_that_is_no_table_is_refused(data: Any) -> None:
    """The document as a whole has no key, so the reason stands alone."""
    assert faults(data)[0].startswith("must be a table, not ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([field.name for field in attrs.fields(Outer)]) | st.text(max_size=5), JSON))
def test_no_data_raises_anything_but_the_chosen_error(data: dict[str, Any]) -> None:
    """Whatever a document holds, the answer is an instance or a list of faults."""
    try:
        assert isinstance(structure(data, Outer, source="x"), Outer)
    except ConfigError as error:
        assert error.faults


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb ==", r"line 2, column 4"),
        ("a = 1\na = 2\n", r"line 2, column 6"),
        ("a = [1,\n  2", r"line 2, column 4, the end of the document"),
        ("x", r"line 1, column 2, the end of the document"),
        ("a = 2024-02-31", r"line 1, column 5"),
    ],
)
def test_toml_errors_have_line_and_column(text: str, place: str) -> None:
    """Every syntax error says where it is, the end of the document included."""
    with pytest.raises(ConfigError, match=rf"x\.toml: is not valid TOML: .*{place}"):
        parse_toml(text, source="x.toml")


def test_text_that_is_not_utf8_is_refused_with_its_place() -> None:
    """The byte, its line and its column are named."""
    with pytest.raises(ConfigError, match=r"must be UTF-8, which byte 0xff at line 2, column 3 is not"):
        parse_toml(b"a=1\nb=\xff", source="x.toml")


def test_a_byte_order_mark_is_no_error() -> None:
    """Some editors write one."""
    assert parse_toml(b"\xef\xbb\xbfa = 1", source="x.toml") == {"a": 1}


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "1" * 5000])
def test_bottomless_toml_gives_the_usual_error(text: str) -> None:
    """Bottomless nesting and endless numbers don't end in a RecursionError or a bare ValueError."""
    with pytest.raises(ConfigError, match="TOML"):
        parse_toml(text, source="x.toml")


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_a_document_or_a_config_error(text: bytes | str) -> None:
    """No input raises anything else."""
    try:
        assert isinstance(parse_toml(text, source="x"), dict)
    except ConfigError as error:
        assert len(error.faults) == 1
