"""Who needs whom: what a load waits for, what refuses it, and who goes with whom, with nothing started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from nyx_plugins.actors.dependencies import (
    PluginNode,
    best,
    check_swap,
    cycle_through,
    dependents,
    exclude_each_other,
    fits,
    goes_before,
    leaving_with,
    may_start,
    wants,
)
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.plugins.errors import DependencyConflict, DependencyCycle, DependencyMissing

GEO = PluginNode(1, "geo", "1.4")
ROAD = PluginNode(2, "road", "1.0", requires={"geo": ">=1.2,<2"})
MAPS = PluginNode(3, "maps", "3.0", requires={"road": ">=1"}, optional={"tiles": ">=2"})

# Ranges.

versions = st.sampled_from(["0.9", "1.0", "1.2", "1.2.1", "1.3", "2.0rc1", "2.0", "2.0.post1", "10", "0"])
clauses = st.builds(
    lambda operator, version: operator + version, st.sampled_from([">=", "<=", ">", "<", "==", "!=", "~="]), versions
).filter(lambda clause: not clause.startswith("~=") or "." in clause)
ranges = st.lists(clauses, min_size=1, max_size=3).map(",".join)


@given(ranges, ranges, versions)
def test_ranges_that_have_a_version_in_common_do_not_exclude_each_other(one: str, other: str, version: str) -> None:
    """No witness is overlooked among the versions that ranges name."""
    if fits(one, version) and fits(other, version):
        assert not exclude_each_other(one, other)


@given(ranges, ranges)
def test_ranges_that_are_said_not_to_exclude_each_other_have_a_version_in_common(one: str, other: str) -> None:
    """What ``packaging`` can prove to be disjoint is found to be."""
    if SpecifierSet(one).is_disjoint(SpecifierSet(other)):
        assert exclude_each_other(one, other)


@pytest.mark.parametrize(
    ("one", "other", "excluded"),
    [
        (">=2", "<2", True),
        (">=1,<2", "<2", False),
        (">1", "<1.0.1", False),
        (">1.0,<1.1", ">1.0.5", False),
        ("==1.*", "==1.2.*", False),
        ("==1.*", ">=2", True),
        ("~=1.4", "<1.5", False),
        ("~=1.4", "!=1.4,<=1.4", True),
        (">=2", ">=3", False),
        ("===x", "===y", True),
    ],
)
def test_examples_of_ranges(one: str, other: str, excluded: bool) -> None:
    """Ranges next to each other, within each other, and apart."""
    assert exclude_each_other(one, other) is exclude_each_other(other, one) is excluded


# Loading.


def refusal(node: PluginNode, others: list[PluginNode], **failed: str) -> NyxPluginError:
    """Return what refuses a load."""
    with pytest.raises(NyxPluginError) as caught:
        may_start(node, others, failed=failed)
    return caught.value


def test_what_is_required_has_to_be_there_and_to_take_frames() -> None:
    """Every requirement that is not met is named, with what is there instead."""
    assert may_start(ROAD, [GEO])
    assert str(refusal(ROAD, [])) == "plugin 2 requires geo >=1.2,<2 (not loaded)"
    assert str(refusal(ROAD, [], geo="it broke")) == "plugin 2 requires geo >=1.2,<2 (not loaded: it broke)"
    old = attrs.evolve(GEO, version="1.1")
    assert str(refusal(ROAD, [old])) == "plugin 2 requires geo >=1.2,<2 (loaded: 1.1)"
    for state in ("failed", "quarantined", "draining"):
        error = refusal(ROAD, [attrs.evolve(GEO, state=state)])
        assert type(error) is DependencyMissing
        assert error.missing == (f"geo >=1.2,<2 (loaded: 1.4, but {state})",)
    for state in ("paused", "restarting"):
        assert may_start(ROAD, [attrs.evolve(GEO, state=state)])


def test_a_load_waits_for_what_is_still_being_loaded() -> None:
    """Also for what is optional; what nobody has read yet may be what is missing."""
    starting = attrs.evolve(GEO, state="starting")
    assert not may_start(ROAD, [starting])
    assert not may_start(ROAD, [], reading=True)
    assert may_start(ROAD, [GEO], reading=True)
    tiles = PluginNode(4, "tiles", "2.0", state="starting")
    assert not may_start(MAPS, [ROAD, tiles])
    assert may_start(MAPS, [ROAD, attrs.evolve(tiles, version="1.0")])
    assert may_start(MAPS, [ROAD])


def test_cycles_are_named_in_full_over_required_and_optional_ones_alike() -> None:
    """The shortest way round is told; a plugin that only leads to a cycle is in none."""
    geo = attrs.evolve(GEO, optional={"maps": ">=1"})
    error = refusal(geo, [ROAD, MAPS])
    assert isinstance(error, DependencyCycle)
    assert error.cycle == ("geo", "maps", "road", "geo")
    assert str(error) == "plugin 1 depends on itself: geo -> maps -> road -> geo; break the cycle"
    assert cycle_through(PluginNode(9, "far", "1", requires={"maps": ""}), [geo, ROAD, MAPS]) == ()


def test_ranges_that_exclude_each_other_are_a_conflict() -> None:
    """Both plugins are named, with their ranges; where the ranges overlap, a version is merely missing."""
    new = PluginNode(5, "sea", "1.0", requires={"geo": ">=2"})
    error = refusal(new, [GEO, ROAD])
    assert isinstance(error, DependencyConflict)
    assert error.conflicts == ("geo >=2 (loaded: 1.4), and road (2) requires geo >=1.2,<2",)
    assert type(refusal(attrs.evolve(new, requires={"geo": ">=1.5"}), [GEO, ROAD])) is DependencyMissing
    assert may_start(new, [GEO, ROAD, PluginNode(6, "geo", "2.1")])


def test_the_best_of_several_is_one_that_takes_frames_then_the_newest_then_the_lowest_id() -> None:
    """Requests go to one plugin, and everybody knows to which."""
    geos = [PluginNode(n, "geo", version, state) for n, version, state in ((5, "1.9", "failed"), (4, "1.5", "ready"))]
    geos += [PluginNode(3, "geo", "1.5"), PluginNode(2, "geo", "1.10rc1"), PluginNode(1, "geo", "2.0")]
    assert best(geos, "geo", "<2") == geos[3]
    assert best(geos, "geo", "<1.6") == geos[2]
    assert best(geos, "geo", "==1.9") == geos[0]
    assert best(geos, "geo", ">2") is None


# Unloading and swapping.


def test_dependents_go_with_what_they_require_unless_another_is_there() -> None:
    """All that would be left without what they require go; what is optional holds nobody."""
    assert dependents(GEO, [MAPS, ROAD]) == [ROAD]
    assert leaving_with(GEO, [MAPS, ROAD]) == [ROAD, MAPS]
    assert leaving_with(GEO, [MAPS, ROAD, PluginNode(9, "geo", "1.2")]) == []
    assert leaving_with(GEO, [MAPS, ROAD, PluginNode(9, "geo", "1.2", "failed")]) == [ROAD, MAPS]
    assert leaving_with(PluginNode(4, "tiles", "2.0"), [MAPS]) == []
    assert goes_before(MAPS, PluginNode(4, "tiles", "2.0")) and not goes_before(MAPS, GEO)


def test_a_swap_keeps_what_others_require_and_finds_what_it_requires() -> None:
    """The new version is measured against the ranges of those who use the old one."""
    check_swap(GEO, attrs.evolve(GEO, version="1.9"), [ROAD, MAPS])
    with pytest.raises(DependencyConflict, match=r"geo 2\.0, but road \(2\) requires geo >=1\.2,<2"):
        check_swap(GEO, attrs.evolve(GEO, version="2.0"), [ROAD, MAPS])
    check_swap(GEO, attrs.evolve(GEO, version="2.0"), [ROAD, MAPS, PluginNode(9, "geo", "1.2")])
    with pytest.raises(DependencyConflict, match=r"globe 1\.4, but road"):
        check_swap(GEO, attrs.evolve(GEO, name="globe"), [ROAD])
    with pytest.raises(DependencyMissing, match=r"tiles >=2 \(not loaded\)"):
        check_swap(GEO, attrs.evolve(GEO, requires={"tiles": ">=2"}), [ROAD])
    with pytest.raises(DependencyCycle):
        check_swap(GEO, attrs.evolve(GEO, optional={"road": ">=1"}), [ROAD])


# Whole loads.

names = st.sampled_from("abcdef")
needs = st.dictionaries(names, st.sampled_from([">=1", ">=2", "<2"]), max_size=2)


@st.composite
def bundles(draw: st.DrawFn) -> list[PluginNode]:
    """Draw plugins that may need each other, in any way."""
    made = []
    for plugin_id, name in enumerate(draw(st.lists(names, min_size=1, max_size=6, unique=True))):
        requires = {need: wanted for need, wanted in draw(needs).items() if need != name}
        optional = {need: wanted for need, wanted in draw(needs).items() if need != name and need not in requires}
        version = draw(st.sampled_from(["1.0", "2.0"]))
        made.append(PluginNode(plugin_id, name, version, "starting", requires, optional))
    return made


def load(nodes: Iterable[PluginNode], choose: st.DataObject) -> tuple[list[PluginNode], dict[str, NyxPluginError]]:
    """Load all at once; who has begun becomes ready in any order. Returns who is ready, in order, and the refusals."""
    waiting, begun, ready = list(nodes), list[PluginNode](), list[PluginNode]()
    refused: dict[str, NyxPluginError] = {}
    while waiting or begun:
        verdicts = []
        for node in waiting:
            others = [other for other in (*waiting, *begun, *ready) if other is not node]
            try:
                verdicts.append((node, may_start(node, others, failed={n: str(e) for n, e in refused.items()})))
            except NyxPluginError as error:
                verdicts.append((node, error))
        moved = [(node, verdict) for node, verdict in verdicts if verdict is not False]
        for node, verdict in moved:
            waiting.remove(node)
            if isinstance(verdict, NyxPluginError):
                refused[node.name] = verdict
            else:
                begun.append(node)
        if not moved:
            assert begun, f"nothing goes on: {waiting}"
            node = choose.draw(st.sampled_from(begun))
            begun.remove(node)
            ready.append(attrs.evolve(node, state="ready"))
    return ready, refused


def loadable(nodes: Iterable[PluginNode]) -> set[str]:
    """Work out otherwise who can be loaded: nobody on a cycle, and nobody who requires what is not among the rest."""
    edges = {node.name: set(wants(node)) for node in nodes}

    def reach(name: str) -> set[str]:
        found: set[str] = set()
        todo = [name]
        while todo:
            for other in edges.get(todo.pop(), ()):
                if other not in found:
                    found.add(other)
                    todo.append(other)
        return found

    left: Mapping[str, PluginNode] = {node.name: node for node in nodes if node.name not in reach(node.name)}
    while True:
        kept = {
            name: node
            for name, node in left.items()
            if all(need in left and fits(wanted, left[need].version) for need, wanted in node.requires.items())
        }
        if kept == left:
            return set(kept)
        left = kept


@given(bundles(), st.data())
def test_a_load_of_many_loads_each_after_what_it_needs(nodes: list[PluginNode], data: st.DataObject) -> None:
    """Nobody waits for ever; exactly those are refused that can't be loaded; order holds, whatever takes how long."""
    ready, refused = load(nodes, data)
    assert {node.name for node in ready} == loadable(nodes)
    assert {node.name for node in ready} | set(refused) == {node.name for node in nodes}
    places = {node.name: place for place, node in enumerate(ready)}
    for node in ready:
        for need, wanted in wants(node).items():
            if need in places and fits(wanted, ready[places[need]].version):
                assert places[need] < places[node.name]


@given(bundles(), st.data())
def test_who_leaves_takes_exactly_those_along_that_need_it(nodes: list[PluginNode], data: st.DataObject) -> None:
    """Those who stay have all that they require, and each who goes requires somebody who goes."""
    ready, _ = load(nodes, data)
    for node in ready:
        others = [other for other in ready if other is not node]
        gone = leaving_with(node, others)
        staying = [other for other in others if other not in gone]
        assert all(best(staying, need, wanted) for other in staying for need, wanted in other.requires.items())
        assert all(any(dependents(provider, [other]) for provider in (node, *gone)) for other in gone)
