"""The fan-out buffer: order, bounds, one message under way."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.outlet import Batch, Outlet, OutletStatistics


def test_nobody_listens() -> None:
    """Without subscribers nothing is kept, and nothing counts as dropped."""
    outlet: Outlet[str, int] = Outlet(max_items=3, max_bytes=100)
    outlet.add(1, 10)
    assert outlet.ready() == []
    assert outlet.statistics() == OutletStatistics(0, 0, 0, 0)


def test_one_message_under_way() -> None:
    """A lone item goes at once; what is added until it is acknowledged goes together afterwards."""
    outlet: Outlet[str, int] = Outlet(max_items=9, max_bytes=100)
    outlet.subscribe("a")
    outlet.add(1, 10)
    assert outlet.ready() == [("a", Batch((1,), 0))]
    outlet.add(2, 10)
    outlet.add(3, 10)
    assert outlet.ready() == []
    assert outlet.statistics() == OutletStatistics(subscribers=1, waiting=2, in_flight=1, dropped=0)
    outlet.acknowledge("a")
    assert outlet.ready() == [("a", Batch((2, 3), 0))]
    outlet.acknowledge("a")
    assert outlet.ready() == []


def test_a_slow_subscriber_loses_its_oldest() -> None:
    """A full buffer drops the oldest items of its own subscriber only, and says how many."""
    outlet: Outlet[str, int] = Outlet(max_items=3, max_bytes=100)
    outlet.subscribe("slow")
    outlet.subscribe("quick")
    outlet.add(0, 1)
    outlet.ready()
    for item in range(1, 6):
        outlet.acknowledge("quick")
        outlet.add(item, 1)
        assert outlet.ready() == [("quick", Batch((item,), 0))]
    outlet.acknowledge("slow")
    assert outlet.ready() == [("slow", Batch((3, 4, 5), 2))]
    assert outlet.statistics().dropped == 2


def test_bounded_in_bytes() -> None:
    """Items are dropped until the new one fits."""
    outlet: Outlet[str, str] = Outlet(max_items=99, max_bytes=100)
    outlet.subscribe("a")
    dropped = [outlet.add(item, size) for item, size in (("a", 40), ("b", 40), ("c", 20), ("d", 50))]
    assert dropped == [0, 0, 0, 2]
    assert outlet.ready() == [("a", Batch(("c", "d"), 2))]


def test_an_item_of_any_size_is_let_in_alone() -> None:
    """One that is larger than the limit waits by itself: what is there goes for it, and it goes for what follows."""
    outlet: Outlet[str, str] = Outlet(max_items=9, max_bytes=10)
    outlet.subscribe("a")
    assert outlet.add("huge", 11) == 0
    assert outlet.ready() == [("a", Batch(("huge",), 0))]
    assert [outlet.add(item, size) for item, size in (("small", 1), ("vast", 99), ("last", 1))] == [0, 1, 1]
    outlet.acknowledge("a")
    assert outlet.ready() == [("a", Batch(("last",), 2))]


def test_comings_and_goings() -> None:
    """One who subscribes gets what follows; one who left gets nothing; subscribing again begins anew."""
    outlet: Outlet[str, int] = Outlet(max_items=9, max_bytes=100)
    outlet.add(1, 1)
    outlet.subscribe("a")
    outlet.add(2, 1)
    assert outlet.ready() == [("a", Batch((2,), 0))]
    outlet.add(3, 1)
    outlet.subscribe("a")
    outlet.add(4, 1)
    assert outlet.ready() == [("a", Batch((4,), 0))]
    outlet.unsubscribe("a")
    outlet.unsubscribe("a")
    outlet.acknowledge("a")
    outlet.add(5, 1)
    assert outlet.ready() == []


@pytest.mark.parametrize(("max_items", "max_bytes"), [(0, 1), (1, 0)])
def test_limits_are_positive(max_items: int, max_bytes: int) -> None:
    """A buffer without room is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        Outlet[str, int](max_items, max_bytes)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 30)),
        st.tuples(st.just("acknowledge"), st.sampled_from("ab")),
        st.tuples(st.just("ready"), st.none()),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_every_item_arrives_in_order_or_is_counted(steps: list[tuple[str, int | str | None]]) -> None:
    """Each subscriber gets a part of the stream in order, and what is missing is exactly what was reported."""
    outlet: Outlet[str, int] = Outlet(max_items=5, max_bytes=60)
    for key in "ab":
        outlet.subscribe(key)
    added = 0
    got: dict[str, list[int]] = defaultdict(list)
    lost: dict[str, int] = defaultdict(int)

    def send() -> None:
        for key, batch in outlet.ready():
            assert len(batch.items) <= 5
            got[key] += batch.items
            lost[key] += batch.dropped

    for _, argument in steps:
        if isinstance(argument, int):
            outlet.add(added, argument)
            added += 1
        elif isinstance(argument, str):
            outlet.acknowledge(argument)
        else:
            send()
        assert outlet.statistics().waiting <= 10
    for key in "ab":
        outlet.acknowledge(key)
    send()
    for key in "ab":
        assert got[key] == sorted(got[key])
        assert len(got[key]) + lost[key] == added
        if added:
            assert got[key][-1] == added - 1
    assert outlet.statistics().dropped == sum(lost.values())


def test_the_rest_goes_at_once() -> None:
    """A source that ends waits for no acknowledgement."""
    outlet: Outlet[str, int] = Outlet(max_items=9, max_bytes=100)
    outlet.subscribe("a")
    outlet.add(1, 10)
    outlet.ready()
    outlet.add(2, 10)
    assert outlet.rest() == [("a", Batch((2,), 0))]
    assert outlet.rest() == []
