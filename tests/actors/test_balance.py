"""Which lane a frame goes to."""

from __future__ import annotations

from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.balance import lane_of, runs

DEPTHS = st.lists(st.integers(0, 50), min_size=1, max_size=8)


def test_literal_lanes() -> None:
    """Frames without key go round; a key's lane never changes, whatever Python or process works it out."""
    assert [lane_of(seq, None, 3) for seq in range(1, 7)] == [1, 2, 0, 1, 2, 0]
    assert [lane_of(9, key, 64) for key in map(crc32, (b"", b"ta", b"i7"))] == [0, 3, 30]


@given(key=st.integers(0, 2**32 - 1), seqs=st.lists(st.integers(1, 1 << 60)), lanes=st.integers(1, 64))
def test_all_frames_of_a_key_share_a_lane(key: int, seqs: list[int], lanes: int) -> None:
    """The sequence number of a frame with a key does not matter."""
    assert len({lane_of(seq, key, lanes) for seq in [1, *seqs]}) == 1


@given(depths=DEPTHS, count=st.integers(0, 200))
def test_runs_level_the_lanes(depths: list[int], count: int) -> None:
    """Every frame is given once, each lane has one run, and no lane that got any is deeper than one that has less."""
    given_runs = runs(depths, count)
    assert sum(share for _, share in given_runs) == count
    assert len({lane for lane, _ in given_runs}) == len(given_runs)
    after = list(depths)
    for lane, share in given_runs:
        after[lane] += share
    highest = max((after[lane] for lane, _ in given_runs), default=0)
    # What does not divide evenly is missing in the last run.
    short = sum(max(0, highest - depth) for depth in after)
    assert short < len(depths)


def test_literal_runs() -> None:
    """The emptiest come first, and what is fuller than the level gets none."""
    assert runs([5, 0, 2], 4) == [(1, 3), (2, 1)]
    assert runs([9, 1], 3) == [(1, 3)]
    assert runs([0], 7) == [(0, 7)]
