"""A session's lease of credit."""

from __future__ import annotations

import pytest

from nyx_plugins.actors.credit import Lease


def _lease(size: int, capacity: int = 10, capacity_bytes: int = 1000, max_frame: int = 100) -> Lease:
    lease = Lease(capacity, capacity_bytes, max_frame)
    lease.grant(size)
    return lease


def test_spend_and_settle() -> None:
    """A spent credit comes back to the lease with its outcome."""
    lease = _lease(2)
    assert lease.spend() and lease.spend()
    assert not lease.spend()
    assert (lease.available, lease.outstanding, lease.size) == (0, 2, 2)
    assert lease.settle() == 0
    assert (lease.available, lease.outstanding, lease.size) == (1, 1, 2)


def test_recall_takes_what_is_unspent_and_then_what_is_settled() -> None:
    """A recalled lease gives back unspent credit at once, and owes the rest."""
    lease = _lease(5)
    lease.spend(3)
    assert lease.recall(4) == 2
    assert (lease.available, lease.outstanding, lease.owed, lease.size) == (0, 3, 2, 3)
    assert lease.settle(1) == 1
    assert lease.settle(2) == 1
    assert (lease.available, lease.owed, lease.size) == (1, 0, 1)


def test_recall_of_more_than_there_is() -> None:
    """A recall that crossed with credit given back unasked owes no more than there is."""
    lease = _lease(5)
    lease.spend(2)
    assert lease.recall(3) == 3
    assert lease.recall(4) == 0
    assert lease.owed == 2


def test_reserved_credit_is_used_first() -> None:
    """A credit that is reserved for a waiting sender goes back after use, or when it is reserved no more."""
    lease = _lease(3)
    assert lease.recall(3, reserved=2) == 1
    assert (lease.available, lease.owed) == (2, 2)
    assert lease.spend()
    assert lease.settle() == 1
    assert (lease.available, lease.owed) == (1, 1)
    assert lease.recall(0) == 1
    assert (lease.size, lease.owed) == (0, 0)


def test_bytes_are_limited_by_the_share() -> None:
    """Credits alone do not do: what is outstanding keeps to the lease's share of the bytes, or to one frame."""
    lease = _lease(5)
    assert lease.byte_limit(100) == 500
    assert lease.byte_limit(600) == 600
    assert lease.spend(2, 450)
    assert not lease.spend(1, 51)
    assert lease.spend(1, 50)
    assert lease.outstanding_bytes == 500
    lease.settle(2, 450)
    assert lease.spend(1, 450)


def test_a_single_frame_always_passes() -> None:
    """One credit suffices for a frame of the largest size, however small the share."""
    lease = _lease(1, capacity=100)
    assert lease.byte_limit(100) == 100
    assert lease.spend(1, 100)


@pytest.mark.parametrize(("n", "n_bytes"), [(2, 0), (1, 11)])
def test_settling_too_much(n: int, n_bytes: int) -> None:
    """More outcomes than frames are an error, and make no credit."""
    lease = _lease(5)
    lease.spend(1, 10)
    with pytest.raises(ValueError, match="1 of 10 bytes are outstanding"):
        lease.settle(n, n_bytes)
    assert lease.size == 5
