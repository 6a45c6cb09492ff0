"""Restart intensity and backoff, as tables and as properties."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.supervision import Backoff, ChildSpec, GiveUp, Intensity, Restart, Stay, Verdict, decide

SPEC = ChildSpec("child", "permanent", 3.0, Intensity(5, 60.0), Backoff(0.1, 0.5, jitter=0.0))
TEMPORARY = GiveUp("its restart policy is temporary")


@pytest.mark.parametrize(
    ("kind", "normal_exit", "decision"),
    [
        ("permanent", False, Restart(0.0)),
        ("permanent", True, Restart(0.0)),
        ("transient", False, Restart(0.0)),
        ("transient", True, Stay()),
        ("temporary", False, TEMPORARY),
        ("temporary", True, Stay()),
    ],
)
def test_kinds(kind: str, normal_exit: bool, decision: Verdict) -> None:
    """Permanent children are always restarted, transient ones after a crash, temporary ones never."""
    times, decided = decide(attrs.evolve(SPEC, restart=kind), (), 100.0, normal_exit, 0.5)
    assert decided == decision
    assert times == ((100.0,) if decision == Restart(0.0) else ())


def test_a_crash_loop() -> None:
    """The first restart is at once, the following ones double their wait up to the limit, and then it is given up."""
    times: tuple[float, ...] = ()
    decisions = []
    for now in range(6):
        times, decided = decide(SPEC, times, float(now), False, 0.5)
        decisions.append(decided)
    waits = [decided.after_s for decided in decisions[:5] if isinstance(decided, Restart)]
    assert waits == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.5])
    assert decisions[5] == GiveUp("restarted 5 times within 60 s")


@pytest.mark.parametrize(
    ("times", "now", "decision"),
    [
        ((0.0,), 59.9, Restart(0.1)),
        ((0.0,), 60.0, Restart(0.0)),
        ((0.0, 30.0), 70.0, Restart(0.1)),
        ((0.0, 1.0, 2.0, 3.0, 4.0), 59.9, GiveUp("restarted 5 times within 60 s")),
        ((0.0, 1.0, 2.0, 3.0, 4.0), 60.5, Restart(0.5)),
        ((0.0, 1.0, 2.0, 3.0, 4.0), 100.0, Restart(0.0)),
    ],
)
def test_the_window(times: tuple[float, ...], now: float, decision: Verdict) -> None:
    """Restarts count while they are within the window; what is older is forgotten."""
    assert decide(SPEC, times, now, False, 0.5)[1] == decision


@pytest.mark.parametrize(("random", "after_s"), [(0.0, 0.15), (0.5, 0.2), (1.0, 0.25)])
def test_jitter(random: float, after_s: float) -> None:
    """Jitter spreads a wait evenly around its middle."""
    spec = attrs.evolve(SPEC, backoff=Backoff(0.1, 0.5, jitter=0.25))
    _, decided = decide(spec, (0.0, 0.1), 0.2, False, random)
    assert isinstance(decided, Restart)
    assert decided.after_s == pytest.approx(after_s)


def test_no_restarts_allowed() -> None:
    """With a maximum of 0 the first crash is the last."""
    spec = attrs.evolve(SPEC, intensity=Intensity(0, 60.0))
    assert decide(spec, (), 0.0, False, 0.5)[1] == GiveUp("restarted 0 times within 60 s")


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (ChildSpec, "restart", "forever"),
        (ChildSpec, "shutdown_s", -0.1),
        (Intensity, "max_restarts", -1),
        (Intensity, "within_s", 0.0),
        (Backoff, "initial_s", -0.1),
        (Backoff, "max_s", -1.0),
        (Backoff, "jitter", 1.1),
        (Backoff, "jitter", -0.1),
    ],
)
def test_specs_are_checked(make: Any, name: str, value: float | str) -> None:
    """A spec that makes no sense is refused."""
    with pytest.raises(ValueError, match=name):
        make(**{name: value}, **({"name": "child"} if make is ChildSpec else {}))


SPECS = st.builds(
    ChildSpec,
    name=st.just("child"),
    restart=st.sampled_from(["permanent", "transient", "temporary"]),
    intensity=st.builds(Intensity, st.integers(0, 2000), st.floats(0.001, 1e6)),
    backoff=st.builds(Backoff, st.floats(0, 1e3), st.floats(0, 1e6), st.floats(0, 1)),
)
CRASHES = st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.floats(0, 1)), max_size=40)


@given(spec=SPECS, crashes=CRASHES)
def test_any_crashes(spec: ChildSpec, crashes: list[tuple[float, bool, float]]) -> None:
    """Waits keep to the limit, and no window holds more restarts than allowed, nor do the times that are kept."""
    times: tuple[float, ...] = ()
    granted: list[float] = []
    now, most = 0.0, spec.intensity.max_restarts
    for passed, normal, random in crashes:
        now += passed
        times, decided = decide(spec, times, now, normal, random)
        recent = [time for time in granted if now - time < spec.intensity.within_s]
        if isinstance(decided, Restart):
            assert 0 <= decided.after_s <= spec.backoff.max_s
            assert decided.after_s == 0 or recent
            granted.append(now)
            assert len(recent) < most
        elif isinstance(decided, GiveUp):
            assert spec.restart == "temporary" or len(recent) >= most
        assert len(times) <= most


@given(count=st.integers(1, 10_000), initial=st.floats(0.001, 10), most=st.floats(0.001, 1e9))
def test_waits_never_shrink(count: int, initial: float, most: float) -> None:
    """Without jitter each wait in a row is at least as long as the one before, however many there are."""
    backoff = Backoff(initial, most, jitter=0.0)
    assert backoff.wait_s(count, 0.5) <= backoff.wait_s(count + 1, 0.5) <= most
