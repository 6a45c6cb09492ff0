"""Scenarios as they are written: all faults at once, variants, changes from the command line, drivers of one's own."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins.load_tests import library
from nyx_plugins.load_tests.bundles import to_toml
from nyx_plugins.load_tests.captures import capture_reason
from nyx_plugins.load_tests.drivers import find
from nyx_plugins.load_tests.errors import MissingExtra, ScenarioError
from nyx_plugins.load_tests.parsing import parse
from nyx_plugins.load_tests.scenario import Event, Limit, Plan, PluginGroup, Scenario
from nyx_plugins.load_tests.traffic import way_of

GOOD = 'name = "mine"\ndescription = "Mine."\n[plugins.work]\ncapacity = 10\n'


def plan(text: str = GOOD, **changes: Any) -> Plan:
    """Parse a scenario with changes."""
    return parse(text, "mine.toml", "/", changes)


def faults(text: str = GOOD, **changes: Any) -> dict[str, str]:
    """Parse a scenario that can't be used; returns its faults by key."""
    with pytest.raises(ScenarioError) as raised:
        plan(text, **changes)
    assert str(raised.value).startswith("scenario mine.toml: ")
    return dict(raised.value.faults)


@pytest.mark.parametrize("name", library.shipped())
def test_every_shipped_scenario_can_be_used(name: str) -> None:
    """It is named as its file, says what it is, and its drivers can be imported."""
    shipped = library.load(name)
    assert shipped.scenario.name == name and shipped.scenario.description.endswith(".")
    for part in shipped.parts.values():
        assert callable(find(part.driver, shipped.folder))


def test_all_faults_are_told_at_once() -> None:
    """Unknown keys, wrong types and what does not go together."""
    text = 'name = "Mine"\nmode = "opne"\nclients = 0\nrat = 1\n[plugins.work]\ncapacity = "x"\n[[events]]\nat_s = 1\n'
    found = faults(text)
    assert set(found) == {"name", "mode", "clients", "rat", "description", "plugins.work.capacity", "events[0].do"}
    assert "did you mean 'rate'?" in found["rat"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"mode": "open"}, "rate"),
        ({"mode": "open", "rate": "80"}, "rate"),
        ({"mode": "open", "rate": "80%", "call": "request"}, "call"),
        ({"mode": "open", "rate": "0%"}, "rate"),
        ({"mode": "open", "rate": "100001%"}, "rate"),
        ({"frame_bytes": 65_536}, "frame_bytes"),
        ({"capture": "nowhere.nyxcap"}, "capture"),
        ({"capture": "etc/hostname"}, "capture"),
        ({"plugins": {"work": {"bundle": "nowhere"}}}, "plugins.work.bundle"),
        ({"plugins": {"work": {"bundle": "builtin:nothing"}}}, "plugins.work.bundle"),
        ({"mode": "none"}, "mode"),
        ({"batch": 16, "window": 8}, "batch"),
        ({"plugins": {"work": {"weight": 0}}}, "plugins"),
        ({"plugins": {"Work": {}}}, "plugins.Work"),
        ({"plugins": {"work": {"id": 3, "count": 2}}}, "plugins.work.id"),
        ({"events": [{"at_s": 1, "do": "stall", "group": "other"}]}, "events[0].group"),
        ({"events": [{"at_s": 1, "do": "stall", "number": 2}]}, "events[0].number"),
        ({"events": [{"at_s": 10, "do": "stall"}]}, "events[0].at_s"),
        ({"events": [{"at_s": -3, "do": "stall"}]}, "events[0].at_s"),
        ({"events": [{"at_s": 1, "do": "kill", "role": "supervisor"}]}, "events[0].role"),
        ({"events": [{"at_s": 1, "do": "swap", "role": "worker"}]}, "events[0].role"),
        ({"events": [{"at_s": 1, "do": "swap", "instances": 2}]}, "events[0].instances"),
        ({"events": [{"at_s": 1, "do": "kill", "for_s": 2}]}, "events[0].for_s"),
        ({"events": [{"at_s": 1, "do": "swap", "every_s": 0}]}, "events[0].every_s"),
        ({"events": [{"at_s": 1, "do": "spin"}], "plugins": {"work": {"bundle": "builtin:echo"}}}, "events[0].do"),
        ({"events": [{"at_s": 1, "do": "kill", "group": "other"}]}, "events[0].group"),
        ({"limits": [{"metric": "p99_us"}]}, "limits[0]"),
        ({"limits": [{"metric": "p99_us", "at_most": 1, "over": "p50_us", "minus": "p90_us"}]}, "limits[0]"),
        ({"limits": [{"metric": "p98_us", "at_most": 1}]}, "limits[0].metric"),
        ({"limits": [{"metric": "p99_us", "at_most": 1, "over": "nope"}]}, "limits[0].over"),
        ({"limits": [{"metric": "p99_us.work", "at_most": 1}]}, "limits[0].metric"),
        ({"limits": [{"metric": "p99_us [a]", "at_most": 1}]}, "limits[0].metric"),
        ({"limits": [{"metric": "p99_us", "at_most": 1}], "variants": {"a": {}}}, "limits[0].metric"),
        ({"limits": [{"metric": "rate_per_s", "at_least": 1}]}, "limits[0].metric"),
        ({"rate": 10}, "rate"),
        ({"rate": "80%", "variants": {"a": {}, "b": {"mode": "open", "rate": 5}}}, "rate"),
        ({"variants": {"a": {"rate": 10}}}, "variants.a.rate"),
        ({"events": [{"at_s": 1, "do": "stall", "for_s": 56}]}, "events[0].for_s"),
        ({"plugins": {"work": {"work_us": 56e6}}}, "plugins.work.work_us"),
        ({"settings": {"limits": {"mailbox_capacity": 0}}}, "settings.limits.mailbox_capacity"),
        ({"settings": {"system": {"transport": "inline"}}}, "settings.system.transport"),
        ({"driver": "nowhere"}, "driver"),
        ({"limits": [{"metric": "p99_us", "at_most": float("nan")}]}, "limits[0].at_most"),
        ({"plugins": {"work": {"id": 7}, "other": {"id": 7}}}, "plugins.other.id"),
        ({"plugins": {"work": {"count": 3}, "other": {"id": 70_002}}}, "plugins.other.id"),
        ({"plugins": {"work": {"id": 70_002}, "other": {"count": 3}}}, "plugins.other.id"),
        ({"first_id": 2**32 - 1, "plugins": {"work": {"count": 2}}}, "first_id"),
        ({"first_id": 2**32 - 1, "plugins": {"work": {"id": 1}, "other": {}}}, "first_id"),
        ({"plugins": {"work": {"manifest": {"nope": 3}}}}, "plugins.work.manifest.nope"),
        ({"plugins": {"work": {"manifest": {"name": 5}}}}, "plugins.work.manifest.name"),
        ({"plugins": {"work": {"manifest": {"permissions": ["fly"]}}}}, "plugins.work.manifest.permissions[0]"),
        ({"plugins": {"work": {"bundle": "builtin:echo", "work": "spin"}}}, "plugins.work.work"),
        ({"plugins": {"work": {"bundle": "builtin:echo", "work_us": 5}}}, "plugins.work.work_us"),
        ({"plugins": {"work": {"work": "spin"}}}, "plugins.work.work_us"),
        ({"plugins": {"work": {"work_us": 5}}}, "plugins.work.work_us"),
        ({"plugins": {"work": {"config": {"a": 1}}}}, "plugins.work.config"),
        ({"options": {"a": 1}}, "options"),
        ({"variants": {"a": {"name": "x"}}}, "variants.a.name"),
        ({"variants": {"a": {"rounds": 5}}}, "variants.a.rounds"),
        ({"variants": {"a": {"limits": []}}}, "variants.a.limits"),
        ({"variants": {"a": {"variants": {"b": {}}}}}, "variants.a.variants"),
        ({"limits": [{"metric": "p99_us", "at_least": float("inf")}]}, "limits[0].at_least"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], key: str) -> None:
    """Each fault is told by its key."""
    assert key in faults(**changes)


def test_the_largest_id_may_be_the_last() -> None:
    """The fault of one too many says where to begin."""
    last = {"first_id": 2**32 - 2, "plugins": {"work": {"count": 2}}}
    assert plan(**last).scenario.first_id == 2**32 - 2
    [fault] = faults(**last | {"first_id": 2**32 - 1}).values()
    assert fault.startswith("must be at most 4,294,967,294 with 2 plugins (ids count on from there")


def test_faults_of_all_kinds_are_told_at_once() -> None:
    """Those of keys, of the system's settings, of variants, and of what does not go together; each once."""
    text = 'rate = "0%"\nmode = "open"\ncall = "request"\nsettings.limits.mailbox_capacity = 0\ncapture = "nowhere"\n'
    events = '[[events]]\nat_s = 11\ndo = "swap"\ngroup = "other"\n'
    variants = "[variants.a]\nclients = 0\n[variants.b]\n"
    found = faults(text + GOOD + events + variants)
    assert set(found) == {
        *("rate", "call", "settings.limits.mailbox_capacity", "capture"),
        *("events[0].at_s", "events[0].group", "variants.a.clients"),
    }


def test_references_are_followed_whatever_else_is_wrong() -> None:
    """Faults of types hide neither the groups and plugins that are not there, nor the metrics."""
    text = GOOD.replace("10", '"x"') + '[[events]]\ndo = "swap"\nnumber = 2\n[[events]]\nat_s = 1\ngroup = "other"\n'
    limits = '[[limits]]\nmetric = "nope"\nat_most = 1\n[[limits]]\nmetric = 5\n'
    assert set(faults(text + limits)) == {
        *("plugins.work.capacity", "events[0].at_s", "events[0].number", "events[1].do", "events[1].group"),
        *("limits[0].metric", "limits[1].metric"),
    }


def test_limits_may_ask_of_what_is_measured() -> None:
    """Of groups where there are several, of variants by their names, and of whatever a driver of one's own returns."""
    groups = {"plugins": {"work": {}, "other": {}}, "limits": [{"metric": "p99_us.other", "at_most": 1}]}
    assert plan(**groups).scenario.limits
    assert "plugins.other.weight" not in faults(**{**groups, "plugins": {"other": {"weight": 0}}})
    assert plan(limits=[{"metric": "p99_us [a]", "at_most": 1}], variants={"a": {}}).scenario.limits
    own = {"driver": "mine:drive", "mode": "none"}
    assert plan(limits=[{"metric": "answer", "at_most": 1}], **own).scenario.limits
    assert "limits[0].metric" in faults(limits=[{"metric": "answer", "at_most": 1}], variants={"a": {}}, **own)


def test_a_metric_that_is_spelt_almost_right_is_suggested() -> None:
    """And a variant that there is not is told with those that there are."""
    assert (
        "did you mean 'processed_per_s'"
        in faults(limits=[{"metric": "procesed_per_s", "at_most": 1}])["limits[0].metric"]
    )
    why = faults(limits=[{"metric": "p99_us [b]", "at_most": 1}], variants={"a": {}})["limits[0].metric"]
    assert why == "must name a variant that there is ('p99_us [a]'), not 'p99_us [b]'"
    why = faults(limits=[{"metric": "nope", "at_most": 1}], variants={"a": {}})["limits[0].metric"]
    assert why.startswith("must be a metric that is measured, not 'nope'")


def test_limits_go_with_the_variants_that_are_taken_away() -> None:
    """Other limits stay, and those that are given anew are looked at."""
    left = library.load("throughput", {"variants": {}, "batch": 64})
    assert left.scenario.limits == () and left.scenario.batch == 64
    assert library.load("startup", {"variants": {}}).scenario.limits
    limits = [{"metric": "lost_share [requests]", "at_most": 0}]
    with pytest.raises(ScenarioError, match="limits"):
        library.load("throughput", {"variants": {}, "limits": limits})


def test_a_rate_may_be_there_for_some_variants() -> None:
    """Those that are closed loops do not look at it."""
    assert plan(rate=5, variants={"a": {}, "b": {"mode": "open"}}).parts["a"].mode == "closed"
    assert plan(rate=0).scenario.rate == 0


def test_a_plugin_may_be_paused_for_as_long_as_one_likes() -> None:
    """Its handler waits for nothing; where the ceiling is higher, or the manifest says it, it may take longer too."""
    event = {"at_s": 1, "do": "stall", "for_s": 500}
    assert plan(events=[{**event, "do": "pause"}])
    assert plan(events=[event], settings={"ceiling": {"wall_time_s": 600}})
    assert plan(events=[event], plugins={"work": {"manifest": {"sandbox": {"wall_time_s": 60}}}})


def test_what_was_changed_is_blamed_for_its_faults(tmp_path: Path) -> None:
    """And not the file, unless that has faults too."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    with pytest.raises(ScenarioError, match=r"^scenario as it was changed \(--set\): plugins.work.count: must be"):
        library.load(str(path), {"plugins": {"work": {"count": 0}}})
    with pytest.raises(ScenarioError, match=r"mine\.toml with what was changed of it: rate: is needed"):
        library.load(str(path), {"mode": "open"})
    path.write_text("clients = 0")
    with pytest.raises(ScenarioError, match=r"mine\.toml: "):
        library.load(str(path))


def test_words_of_limits_name_no_number_of_plugins() -> None:
    """Which may be changed."""
    for name in library.shipped():
        for limit in library.load(name).scenario.limits:
            assert "100 plugins" not in limit.what


def test_who_is_killed_may_be_of_no_group() -> None:
    """The actors of the system are there without any plugins."""
    event = {"at_s": 1, "do": "kill", "role": "dispatcher", "group": "none"}
    assert plan(events=[event]).scenario.events[0].role == "dispatcher"


def test_a_limit_names_itself_and_what_was_given() -> None:
    """Also that of the system, and with what it would do."""
    assert faults(frame_bytes=70_000)["frame_bytes"] == (
        "must be at most 65,510 (settings.limits.max_header_bytes is 65,536), not 70,000: "
        "the system would refuse every frame"
    )
    assert plan(frame_bytes=70_000, settings={"limits": {"max_header_bytes": 80_000}})


def test_a_share_of_the_maximum_is_a_rate() -> None:
    """Frames per second, or per cent of what is measured before."""
    assert plan(mode="open", rate="62.5%").scenario.share == 0.625
    assert plan(mode="open", rate=500).scenario.share is None


def test_variants_are_the_scenario_with_changes() -> None:
    """Tables are changed key by key; without variants a scenario is its only one."""
    text = GOOD + '[variants."two plugins".plugins.work]\ncount = 2\n[variants.other]\nclients = 3\n'
    parts = plan(text).parts
    assert list(parts) == ["two plugins", "other"]
    two, other = parts.values()
    assert (two.plugins["work"].count, two.plugins["work"].capacity, two.clients) == (2, 10, 1)
    assert (other.plugins["work"].count, other.clients) == (1, 3)
    assert plan().parts == {"": plan().scenario}
    assert plan(text, variants={}).parts == {"": plan().scenario}


def test_faults_of_variants_are_told_with_their_names() -> None:
    """Those of all variants at once."""
    assert set(faults(GOOD + "[variants.a]\nclients = 0\n[variants.b]\nbatch = 0\n")) == {
        "variants.a.clients",
        "variants.b.batch",
    }


def test_changes_are_read_as_toml_or_as_text() -> None:
    """Keys have dots; several changes are put together."""
    changes = library.changes_of(
        ["plugins.work.count=3", "plugins.work.bundle=builtin:echo", "rate='80%'", "mode=open"]
    )
    assert changes == {"plugins": {"work": {"count": 3, "bundle": "builtin:echo"}}, "rate": "80%", "mode": "open"}
    with pytest.raises(ScenarioError, match="must be key=value, not 'rate'"):
        library.changes_of(["rate"])


def test_paths_that_are_typed_are_those_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If they are there; otherwise they are looked for where the scenario is, as those that it has."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("work").mkdir()
    changes = library.changes_of(["capture=mine", "plugins.a.bundle=mine", "plugins.b.bundle=work", "name=mine"])
    mine = str(tmp_path / "mine")
    assert changes == {"capture": mine, "plugins": {"a": {"bundle": mine}, "b": {"bundle": "work"}}, "name": "mine"}
    assert library.changes_of(["capture=other"]) == {"capture": "other"}


def test_a_scenario_is_found_by_name_or_by_path(tmp_path: Path) -> None:
    """What is spelt alike is suggested; a file that is not there is told as any other."""
    (tmp_path / "mine.toml").write_text(GOOD)
    mine = library.load(str(tmp_path / "mine.toml"))
    assert (mine.scenario.name, mine.folder) == ("mine", str(tmp_path))
    with pytest.raises(ScenarioError, match="did you mean 'throughput'"):
        library.load("troughput")
    with pytest.raises(ScenarioError, match="scenario '': there is no such"):
        library.load("")
    with pytest.raises(ScenarioError, match="can't be read"):
        library.load(str(tmp_path / "other.toml"))


def test_a_driver_may_lie_beside_its_scenario(tmp_path: Path) -> None:
    """A module there is imported; what is not there, or fails, is told."""
    (tmp_path / "my_driver.py").write_text("def drive(scene): return 5\nnumber = 7\n")
    (tmp_path / "my_broken_driver.py").write_text("import nonexistent_module\n")
    assert find("my_driver:drive", str(tmp_path))(None) == 5  # type: ignore[arg-type, comparison-overlap]
    for name, reason in [
        ("my_driver:number", "has no function number"),
        ("my_broken_driver:drive", "can't be imported: ModuleNotFoundError"),
        ("my_other_driver:drive", "can't be imported"),
    ]:
        with pytest.raises(ScenarioError, match=reason):
            find(name, str(tmp_path))


def test_a_driver_that_needs_the_extra_says_how_to_install_it(tmp_path: Path) -> None:
    """What is missing is no fault of the scenario."""
    (tmp_path / "my_needy_driver.py").write_text("raise ModuleNotFoundError('gone', name='hdrh')\n")
    with pytest.raises(MissingExtra, match=r"pip install 'nyx-plugins\[load\]'"):
        find("my_needy_driver:drive", str(tmp_path))


def test_manifests_are_written_as_toml() -> None:
    """Whatever a scenario may put into one comes out again."""
    table = {"name": 'a "b"\n', "capacity": 5, "flag": True, "list": ["x", 1.5], "sandbox": {"wall_time_s": 5.0}}
    assert tomllib.loads(to_toml(table)) == table


# The manual.

MANUAL = (Path(__file__).parents[2] / "docs" / "load-tests.md").read_text(encoding="utf-8")


def test_the_scenario_of_the_manual_can_be_used() -> None:
    """Whoever copies it has a scenario."""
    [text] = [block.partition("```")[0] for block in MANUAL.split("```toml\n")[1:] if block.startswith("name")]
    swaps = parse(text, "load-tests.md", "/").scenario
    assert (swaps.name, swaps.plugins["work"].count, swaps.events[0].do) == ("swaps", 2, "swap")


def test_variants_have_the_same_rate_where_their_maximum_would_be_measured_alike() -> None:
    """Whatever happens in them, and however many plugins there are besides the one whose maximum it is."""

    def ways(name: str, changes: dict[str, object]) -> list[object]:
        return [way_of(part) for part in library.load(name, changes).parts.values()]

    assert len(set(ways("noisy_neighbour", {}))) == 1
    assert len(set(ways("fanout", {})[:3])) == 1
    assert len(set(ways("fanout", {"share_of": "all plugins"})[:3])) == 3
    assert ways("noisy_neighbour", {"call": "many"})[0] != ways("noisy_neighbour", {})[0]


def test_the_manual_names_every_key_and_every_scenario() -> None:
    """Those of a scenario, of a group of plugins, of an event and of a limit."""
    keys = {name for kind in (Scenario, PluginGroup, Event, Limit) for name in attrs.fields_dict(kind)}
    assert [key for key in keys if f"`{key}`" not in MANUAL and f"`{key}." not in MANUAL] == []
    assert [name for name in library.shipped() if f"| `{name}` |" not in MANUAL] == []


def test_a_capture_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """It may never have a writer."""
    os.mkfifo(tmp_path / "pipe")
    reason = capture_reason("pipe", tmp_path, 1024)
    assert reason == f"{tmp_path / 'pipe'} can't be read: it must be a regular file, not a pipe or a device"
