"""Questions get their answers by number, and not before the routes that the answer speaks of."""

from __future__ import annotations

import pytest

from nyx_plugins import PluginNotRegistered, SystemStopped
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.inquiries import Inquiries


def test_answers_find_their_questions() -> None:
    """Values and errors arrive where they belong, in any order."""
    inquiries = Inquiries()
    first, second = inquiries.new("the first"), inquiries.new("the second")
    inquiries.answer(m.Reply(second.number, error=PluginNotRegistered(7)), 0)
    inquiries.answer(m.Reply(first.number, "value"), 0)
    assert first.result() == "value"
    with pytest.raises(PluginNotRegistered):
        second.result()
    assert (first.what, second.what, len(inquiries)) == ("the first", "the second", 0)


def test_an_answer_waits_for_its_routes() -> None:
    """Who has loaded a plugin must find it loaded; forgotten meanwhile, the answer is nobody's."""
    inquiries = Inquiries()
    loading, forgotten = inquiries.new("loading"), inquiries.new("loading")
    for inquiry in (loading, forgotten):
        inquiries.answer(m.Reply(inquiry.number, version=3), 1)
    inquiries.forget(forgotten)
    inquiries.routes_at(2)
    assert not loading.done
    inquiries.routes_at(3)
    assert loading.done and not forgotten.done
    assert len(inquiries) == 0


def test_nobody_is_left_without_an_answer() -> None:
    """When the system stops, every question ends with the reason; what comes after that is ignored."""
    inquiries = Inquiries()
    asked = inquiries.new("statistics")
    inquiries.answer(m.Reply(asked.number, version=9), 0)
    inquiries.fail(SystemStopped("it was closed"))
    inquiries.routes_at(9)
    inquiries.answer(m.Reply(4711), 0)
    with pytest.raises(SystemStopped):
        asked.result()
