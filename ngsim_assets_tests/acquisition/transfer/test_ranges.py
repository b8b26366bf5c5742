"""Ranges are sets of offsets, and sharing them out loses none and fetches none twice."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.acquisition.transfer.ranges import Ranges, Sharing, Work

_TOTAL = 60
_INTERVALS = st.lists(
    st.tuples(st.integers(0, _TOTAL), st.integers(0, _TOTAL)).map(lambda pair: tuple(sorted(pair)))
)


def _offsets(ranges: Ranges) -> set[int]:
    return {offset for start, stop in ranges for offset in range(start, stop)}


def _plain(intervals: list[tuple[int, int]]) -> set[int]:
    return {offset for start, stop in intervals for offset in range(start, stop)}


@given(_INTERVALS)
def test_ranges_are_the_set_of_their_offsets_in_the_fewest_intervals(intervals):
    ranges = Ranges.of(intervals)
    offsets = _plain(intervals)
    assert _offsets(ranges) == offsets
    assert ranges.bytes == len(offsets)
    assert ranges.end == max(offsets, default=-1) + 1
    assert ranges.prefix == next(n for n in range(_TOTAL + 1) if n not in offsets)
    runs = sum(1 for offset in offsets if offset - 1 not in offsets)
    assert len(ranges.intervals) == runs
    assert list(ranges) == sorted(ranges)


@given(_INTERVALS, _INTERVALS)
def test_joining_and_taking_away_are_those_of_sets(intervals, others):
    joined = Ranges.of(intervals)
    without = Ranges.of(intervals)
    for start, stop in others:
        joined = joined.joined(start, stop)
        without = without.without(start, stop)
    assert _offsets(joined) == _plain(intervals) | _plain(others)
    assert _offsets(without) == _plain(intervals) - _plain(others)


@given(_INTERVALS, st.integers(0, _TOTAL))
def test_missing_is_what_is_not_there(intervals, total):
    assert _offsets(Ranges.of(intervals).missing(total)) == set(range(total)) - _plain(intervals)


@pytest.mark.parametrize("interval", [(-1, 2), (3, 2)])
def test_no_interval_is_refused(interval):
    with pytest.raises(ValueError, match=str(interval[0])):
        Ranges.of([interval])


@given(_INTERVALS, st.integers(1, 8), st.integers())
def test_sharing_has_every_missing_byte_fetched_once(intervals, least, seed):
    """Connections come, take work, bring some of it, fail and go, in any order."""
    random = Random(seed)  # noqa: S311
    done = Ranges.of(intervals).without(_TOTAL, _TOTAL + 1)
    fetched: list[int] = []
    sharing = Sharing(_TOTAL, least=least)
    held: list[Work] = []
    for _ in range(2_000):
        if (not held or random.random() < 0.3) and len(held) < 4:
            work = sharing.take(done)
            if work is not None:
                assert work.left > 0
                held.append(work)
            elif not held:
                break
        if not held:
            continue
        work = random.choice(held)
        some = random.randint(0, work.left)
        fetched += range(work.at, work.at + some)
        done = done.joined(work.at, work.at + some)
        work.at += some
        if work.left == 0 or random.random() < 0.1:
            sharing.give_back(work)
            held.remove(work)
    assert done.missing(_TOTAL) == Ranges()
    assert sorted(fetched) == sorted(set(range(_TOTAL)) - _plain(intervals))


def test_the_largest_work_is_halved_where_every_gap_is_held():
    sharing = Sharing(100)
    first = Work(0)
    sharing.hold(first)
    assert first.stop == 100
    first.at = 20
    second = sharing.take(Ranges.of([(0, 20)]))
    assert second is not None
    assert ((first.at, first.stop), (second.at, second.stop)) == ((20, 60), (60, 100))
    second.at = 90
    third = sharing.take(Ranges.of([(0, 20), (60, 90)]))
    assert third is not None
    assert ((first.at, first.stop), (third.at, third.stop)) == ((20, 40), (40, 60))


def test_a_gap_that_nobody_holds_goes_first():
    sharing = Sharing(100)
    first = sharing.take(Ranges.of([(10, 50)]))
    second = sharing.take(Ranges.of([(10, 50)]))
    assert first is not None
    assert second is not None
    assert ((first.at, first.stop), (second.at, second.stop)) == ((0, 10), (50, 100))


def test_small_work_is_not_split():
    sharing = Sharing(100, least=51)
    assert sharing.take(Ranges()) is not None
    assert sharing.take(Ranges()) is None
