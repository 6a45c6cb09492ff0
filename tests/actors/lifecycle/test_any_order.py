"""A plugin's life with its events in any order."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.directives import Directive, Do
from nyx_plugins.actors.lifecycle import PluginLife
from nyx_plugins.actors.messages import LoadSpec
from nyx_plugins.actors.stages import Stage
from nyx_plugins.actors.supervision import ChildSpec

from .conftest import EVENTS


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_no_order_of_events_answers_a_load_twice_or_goes_on_after_the_end(
    events: list[Callable[[PluginLife], list[Directive]]],
) -> None:
    """Whatever happens, in whatever order: one answer to the load, and silence once the plugin is gone."""
    life = PluginLife(LoadSpec("bundle"), ChildSpec("plugin actor"))
    said: list[Directive] = []
    for event in events:
        if life.stage is Stage.GONE:
            break
        said += event(life)
    assert said.count(Do.ANSWER_LOAD) + said.count(Do.ANSWER_UNLOAD) <= 2
    assert said.count(Do.ANSWER_LOAD) <= 1
    assert said.count(Do.FORGET) == (life.stage is Stage.GONE)
    assert said.count(Do.REMOVE_FILES) == (life.stage is Stage.GONE)
