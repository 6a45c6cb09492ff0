"""Restart intensity and backoff, as tables and as properties."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.restart import Decision, GiveUp, Restart, RestartPolicy, RestartState, Stay, decide

POLICY = RestartPolicy(
    kind="permanent", max_restarts=5, within_s=60.0, backoff_initial_s=0.1, backoff_max_s=0.5, jitter=0.0
)
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
def test_kinds(kind: str, normal_exit: bool, decision: Decision) -> None:
    """Permanent children are always restarted, transient ones after a crash, temporary ones never."""
    policy = attrs.evolve(POLICY, kind=kind)
    state, decided = decide(policy, RestartState(), 100.0, normal_exit, 0.5)
    assert decided == decision
    assert state.restarts == ((100.0,) if decision == Restart(0.0) else ())


def test_a_crash_loop() -> None:
    """The first restart is at once, the following ones double their wait up to the limit, and then it is given up."""
    state, decisions = RestartState(), []
    for now in range(6):
        state, decided = decide(POLICY, state, float(now), False, 0.5)
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
def test_the_window(times: tuple[float, ...], now: float, decision: Decision) -> None:
    """Restarts count while they are within the window; what is older is forgotten."""
    assert decide(POLICY, RestartState(times), now, False, 0.5)[1] == decision


@pytest.mark.parametrize(("random", "after_s"), [(0.0, 0.15), (0.5, 0.2), (1.0, 0.25)])
def test_jitter(random: float, after_s: float) -> None:
    """Jitter spreads a wait evenly around its middle."""
    policy = attrs.evolve(POLICY, jitter=0.25)
    _, decided = decide(policy, RestartState((0.0, 0.1)), 0.2, False, random)
    assert isinstance(decided, Restart)
    assert decided.after_s == pytest.approx(after_s)


def test_no_restarts_allowed() -> None:
    """With a maximum of 0 the first crash is the last."""
    policy = attrs.evolve(POLICY, max_restarts=0)
    assert decide(policy, RestartState(), 0.0, False, 0.5)[1] == GiveUp("restarted 0 times within 60 s")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "forever"},
        {"max_restarts": -1},
        {"within_s": 0.0},
        {"backoff_initial_s": -0.1},
        {"backoff_max_s": -1.0},
        {"jitter": 1.1},
        {"jitter": -0.1},
    ],
)
def test_policies_are_checked(wrong: dict[str, float | str]) -> None:
    """A policy that makes no sense is refused."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RestartPolicy(**wrong)  # type: ignore[arg-type]  # what is tested


POLICIES = st.builds(
    RestartPolicy,
    kind=st.sampled_from(["permanent", "transient", "temporary"]),
    max_restarts=st.integers(0, 2000),
    within_s=st.floats(0.001, 1e6),
    backoff_initial_s=st.floats(0, 1e3),
    backoff_max_s=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
)
CRASHES = st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.floats(0, 1)), max_size=40)


@given(policy=POLICIES, crashes=CRASHES)
def test_any_crashes(policy: RestartPolicy, crashes: list[tuple[float, bool, float]]) -> None:
    """Waits keep to the limit, and no window holds more restarts than allowed, nor does the state."""
    state, now = RestartState(), 0.0
    granted: list[float] = []
    for passed, normal_exit, random in crashes:
        now += passed
        state, decided = decide(policy, state, now, normal_exit, random)
        recent = [time for time in granted if now - time < policy.within_s]
        if isinstance(decided, Restart):
            assert 0 <= decided.after_s <= policy.backoff_max_s
            assert decided.after_s == 0 or recent
            granted.append(now)
            assert len(recent) < policy.max_restarts
        elif isinstance(decided, GiveUp):
            assert policy.kind == "temporary" or len(recent) >= policy.max_restarts
        assert len(state.restarts) <= policy.max_restarts


@given(count=st.integers(1, 10_000), initial=st.floats(0.001, 10), most=st.floats(0.001, 1e9))
def test_waits_never_shrink(count: int, initial: float, most: float) -> None:
    """Without jitter each wait in a row is at least as long as the one before, however many there are."""
    policy = RestartPolicy(max_restarts=20_000, backoff_initial_s=initial, backoff_max_s=most, jitter=0.0)
    waits = [decide(policy, RestartState((0.0,) * n), 0.0, False, 0.5)[1] for n in (count, count + 1)]
    assert isinstance(waits[0], Restart) and isinstance(waits[1], Restart)
    assert waits[0].after_s <= waits[1].after_s <= most
