"""How long something will take."""

from __future__ import annotations

from nyx_plugins.load_tests.forecast import Forecast


def test_what_is_left_is_corrected_by_how_long_others_took() -> None:
    """At first there is only what was expected; a step that is left out takes no time."""
    now = [1000.0]
    forecast = Forecast([10, 20, 500, 30], lambda: now[0])
    assert forecast.step("one") == "one (1 of 4, about 9 minutes to go)"
    now[0] += 20
    assert forecast.step("two") == "two (2 of 4, about 18 minutes to go)"
    forecast.skip()
    now[0] += 10
    assert forecast.step("four") == "four (3 of 3, about 30 s to go)"
