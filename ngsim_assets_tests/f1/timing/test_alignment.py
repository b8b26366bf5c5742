"""Ends of laps that fit lap times and gaps, while lap times stay as they are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.f1.timing.alignment import fitted, in_step
from ngsim_assets.f1.timing.closing import ClosedLap
from ngsim_assets_tests.f1.conftest import RealSession

TIME = 90_000


def lap(car: int, number: int, end: int, gap: int | None = None) -> ClosedLap:
    """A lap of 90 s that was told to end at `end` ms."""
    return ClosedLap(
        driver_number=car,
        lap_number=number,
        lap_time=TIME,
        lap_time_from="delivered",
        sectors=(30_000, 40_000, 20_000),
        sector_ends=(end - 60_000, end - 20_000, end),
        start=None,
        end=end,
        pit_in=None,
        pit_out=None,
        speeds={},
        personal_best=False,
        position=None,
        gap=gap,
        file="f",
        row=1,
    )


@given(st.lists(st.integers(0, 400), min_size=2, max_size=12))
def test_ends_of_a_driver_are_as_far_apart_as_the_lap_times_say(late: list[int]) -> None:
    told = [lap(4, number, number * TIME + by) for number, by in enumerate(late, start=1)]
    ends = [one.end or 0 for one in fitted(told)]
    assert [after - before for before, after in pairwise(ends)] == [TIME] * (len(told) - 1)
    # nothing is told too early: the lap told with the least delay is the one to trust
    assert ends[0] == TIME + min(late)
    assert [one.lap_time for one in fitted(told)] == [TIME] * len(told)


@given(st.tuples(st.integers(0, 600), st.integers(0, 600), st.integers(0, 600)))
def test_ends_of_a_race_are_as_far_apart_as_the_gaps_say(late: tuple[int, int, int]) -> None:
    behind = {4: 0, 44: 2_000, 16: 5_500}
    cars = {
        car: [lap(car, number, number * TIME + gap + by, gap or None) for number in (1, 2, 3)]
        for (car, gap), by in zip(behind.items(), late, strict=True)
    }
    stepped = in_step(cars)
    ends = {car: [one.end or 0 for one in laps] for car, laps in stepped.items()}
    for car, gap in behind.items():
        assert [a - b for a, b in zip(ends[car], ends[4], strict=True)] == [gap] * 3
    assert all(
        (one.end or 0) <= (before.end or 0)
        for car, laps in stepped.items()
        for one, before in zip(laps, cars[car], strict=True)
    )
    first = stepped[44][0]
    assert first.sector_ends[2] == first.end


def test_gaps_that_do_not_agree_move_nothing() -> None:
    leader = [lap(4, number, number * TIME) for number in (1, 2, 3)]
    odd = [lap(44, n, n * TIME + 2_000, gap) for n, gap in ((1, 2_300), (2, 1_000), (3, 2_900))]
    assert in_step({4: leader, 44: odd}) == {4: leader, 44: odd}
    alone = [replace(one, end=None) for one in leader]
    assert in_step({4: alone}) == {4: alone}


def test_gaps_of_a_real_race_agree_to_the_millisecond(
    real_sessions: dict[str, RealSession],
) -> None:
    session = real_sessions["2018-04-29_azerbaijan_race"]
    ends = {
        (row["driver_number"], row["lap_number"]): row["lap_end_ms"]
        for row in session.tables.laps.iter_rows(named=True)
    }
    leading: dict[int, int] = {}
    for (_, number), end in ends.items():
        leading[number] = min(end, leading.get(number, end))
    off = [
        abs(ends[one.driver_number, one.lap_number] - leading[one.lap_number] - one.gap)
        for one in session.closed
        if one.gap is not None and one.pit_in is None and one.pit_out is None
    ]
    assert len(off) > 600
    assert sum(by <= 1 for by in off) / len(off) > 0.95
