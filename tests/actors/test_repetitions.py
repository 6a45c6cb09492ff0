"""Questions that are asked again: their copies say since when they are asked."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from nyx_plugins import DispatchTimeout, PluginSystem
from nyx_plugins.actors import messages as m
from nyx_plugins.actors import questions
from nyx_plugins.actors.async_session import AsyncSession
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.questions import Ask
from nyx_plugins.actors.session import Session
from nyx_plugins.config.settings import Settings
from nyx_plugins.plugins.worker.jail.level import NOTHING

PAUSE = questions.pause(Settings(), 7, True)
GRANT = questions.change_permission(Settings(), 7, "control", True)


class Late:
    """A session whose answers come late twice."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []

    def ask(self, ask: Ask, timeout: float) -> str:
        """Answer the third time."""
        self.asked.append(ask)
        if len(self.asked) < 3:
            raise DispatchTimeout(None, ask.what, timeout)
        return "answer"

    def check(self, began: float) -> None:
        """Each copy says when the first was sent."""
        first, *copies = [ask.asked_at for ask in self.asked]
        assert first == 0.0
        assert [at - copies[0] for at in copies] == [0.0, 0.0]
        assert began <= copies[0] <= time.monotonic()


def test_who_asks_again_says_since_when() -> None:
    """A thread asks every so often, until there is an answer."""
    session, began = Late(), time.monotonic()
    assert PluginSystem._ask(SimpleNamespace(_session=session), PAUSE) == "answer"
    session.check(began)


def test_a_task_that_asks_again_says_since_when() -> None:
    """It does as threads do."""
    session, began = Late(), time.monotonic()

    async def result(ask: Ask, wait_s: float, timeout: float) -> str:
        return session.ask(ask, timeout)

    asking: Any = SimpleNamespace(
        deadline=lambda timeout_s: timeout_s,
        left=lambda deadline: deadline,
        result=result,
        _session=SimpleNamespace(post=lambda ask: ask),
    )
    assert asyncio.run(AsyncSession.ask(asking, PAUSE)) == "answer"
    session.check(began)


class Endpoint:
    """Of a session that sends nothing by itself."""

    address, supervisor, synchronous = "me", "supervisor", False


def test_what_a_new_registry_is_asked_again_says_since_when() -> None:
    """The registry before it may have done it; the number is the same, as either's answer will do."""
    session: Any = Session(Endpoint(), FrameRules())  # type: ignore[arg-type]  # as much as is needed
    session._on_message(m.Attached("dispatcher", "first", NOTHING, 1))
    began = time.monotonic()
    inquiry = session.post(GRANT)
    session._on_message(m.Introduce("registry", "second", 2))
    found: list[tuple[str, Any]] = []
    while (work := session._sending._take()) is not None:
        found.append(work)
    first, copy = [message for _, message in found if isinstance(message, m.ChangePermission)]
    assert [to for to, _ in found][-1] == "second"
    assert (first.request_id, first.asked_at, copy.request_id) == (inquiry.number, 0.0, inquiry.number)
    assert began <= copy.asked_at <= time.monotonic()


def test_who_has_asked_in_vain_is_told_for_how_long_in_all() -> None:
    """And not how long the last time was."""
    session: Any = Session(Endpoint(), FrameRules())  # type: ignore[arg-type]  # as much as is needed
    session._on_message(m.Attached("dispatcher", "registry", NOTHING, 1))
    with pytest.raises(DispatchTimeout, match=r"^statistics not within 5 s$"):
        session.ask(questions.plugin_stats(7), 0.001)
