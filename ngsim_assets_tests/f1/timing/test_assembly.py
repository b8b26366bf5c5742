"""Laps out of changes: closed by their third sector, once each, and across restarts."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.f1.errors import BadState
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.timing.assembly import GRACE, LapAssembler
from ngsim_assets.f1.timing.closing import ClosedLap
from ngsim_assets_tests.f1.feeds import car, race_laps

LAPS = [(31_000, 40_000, 20_000), (30_000, 39_500, 19_500), (30_000, 39_400, 19_600)]
CLEAR: Json = {"Value": ""}


def assemble(changes: Iterable[tuple[int, Json]], *, race: bool = True) -> list[ClosedLap]:
    assembler = LapAssembler(race=race)
    closed: list[ClosedLap] = []
    for row, (time, change) in enumerate(changes, start=1):
        closed += assembler.change(change, time, "f", row)
    return closed + assembler.finish()


def out_of_the_pits(number: int = 4) -> list[tuple[int, Json]]:
    """The first run of a qualifying: parked, then on the track."""
    return [
        (1_000, car(number, InPit=True, Sectors=[CLEAR] * 3)),
        (60_000, car(number, InPit=False, PitOut=True, NumberOfLaps=1)),
        (110_000, car(number, Sectors={"1": {"Value": "37.675"}})),
        (138_000, car(number, NumberOfLaps=2, Sectors={"2": {"Value": "28.327"}})),
    ]


def test_lap_time_and_sectors_come_together_though_they_are_told_apart() -> None:
    laps = assemble(race_laps(4, LAPS))
    assert [lap.lap_number for lap in laps] == [1, 2, 3]
    assert [lap.sectors for lap in laps] == LAPS
    assert [lap.lap_time for lap in laps] == [sum(lap) for lap in LAPS]
    assert [lap.end for lap in laps] == [191_000, 280_000, 369_000]
    assert laps[1].start == laps[0].end
    assert laps[1].sector_ends == (221_000, 260_500, 280_000)
    assert laps[0].speeds == {"I1": 280.0, "FL": 300.0}


def test_a_lap_is_closed_when_nothing_of_it_can_come_any_more_and_not_before() -> None:
    assembler = LapAssembler(race=True)
    changes = list(race_laps(4, LAPS[:1]))
    *before, (time, last) = changes
    for moment, change in before:
        assert assembler.change(change, moment, "f", 1) == []
    assert assembler.change(last, time, "f", 9) == []
    assert assembler.pass_time(time + GRACE - 1) == []
    late = car(4, Speeds={"FL": {"Value": "311"}})
    assembler.change(late, time + 2_000, "f", 10)
    (lap,) = assembler.pass_time(time + GRACE)
    assert (lap.row, lap.speeds["FL"]) == (9, 311.0)
    assert assembler.pass_time(time + 10 * GRACE) == assembler.finish() == []


def test_a_lap_under_way_at_the_end_of_the_feed_is_none() -> None:
    changes = list(race_laps(4, LAPS))
    assert len(assemble(changes[:-1])) == 2


def test_the_first_lap_of_a_race_has_no_first_sector_and_no_time() -> None:
    changes = [
        (1_000, car(4, InPit=False, Sectors=[CLEAR] * 3)),
        (180_000, car(4, Sectors={"1": {"Value": "69.073"}})),
        (221_000, car(4, NumberOfLaps=1, Sectors={"2": {"Value": "40.816"}})),
    ]
    (lap,) = assemble(changes)
    assert (lap.lap_time, lap.sectors, lap.pit_out) == (None, (None, 69_073, 40_816), None)


def test_a_lap_as_long_as_the_one_before_is_told_by_its_sectors_alone() -> None:
    first, second = (30_000, 40_000, 20_000), (31_000, 39_000, 20_000)
    changes = [
        (time, change)
        for time, change in race_laps(4, [first, second])
        if not (time == 280_000 and "LastLapTime" in str(change))
    ]
    assert [(lap.lap_time, lap.lap_time_from) for lap in assemble(changes)] == [
        (90_000, "delivered"),
        (90_000, "repeated"),
    ]


def test_a_sector_as_long_as_the_one_before_is_what_the_others_leave() -> None:
    laps = [(30_000, 40_000, 20_000), (31_000, 40_000, 21_000)]
    changes = [(t, c) for t, c in race_laps(4, laps) if t != 190_000 + 71_000]
    assert assemble(changes)[1].sectors == (31_000, 40_000, 21_000)


def test_an_empty_lap_time_is_the_sum_of_the_sectors() -> None:
    changes = [
        (t, car(4, LastLapTime=CLEAR) if "LastLapTime" in str(c) else c)
        for t, c in race_laps(4, LAPS[:1])
    ]
    (lap,) = assemble(changes)
    assert (lap.lap_time, lap.lap_time_from) == (91_000, "sectors")


def test_the_way_into_the_pits_ends_by_its_third_sector_and_is_not_counted_twice() -> None:
    changes = [
        *out_of_the_pits(),
        (165_000, car(4, Sectors={"0": {"Value": "29.738"}, "1": CLEAR, "2": CLEAR})),
        (203_000, car(4, Sectors={"1": {"Value": "38.386"}})),
        (230_000, car(4, InPit=True, NumberOfPitStops=1)),
        (235_000, car(4, Sectors={"2": {"Value": "31.968"}}, LastLapTime={"Value": "1:40.092"})),
        (900_000, car(4, InPit=False, PitOut=True, NumberOfLaps=3)),
        (960_000, car(4, LastLapTime={"Value": "12:05.000"}, Sectors={"1": {"Value": "38.0"}})),
        (990_000, car(4, NumberOfLaps=4, Sectors={"2": {"Value": "30.0"}})),
    ]
    out, into, out_again = assemble(changes, race=False)
    assert (out.lap_number, out.pit_out, out.lap_time) == (1, 60_000, None)
    assert (into.lap_number, into.pit_in, into.lap_time) == (2, 230_000, 100_092)
    assert (out_again.lap_number, out_again.pit_out) == (3, 900_000)
    # what was told counts the stay in the garage
    assert out_again.lap_time is None


def test_the_last_lap_that_ended_in_the_pits_is_over_without_a_third_sector() -> None:
    changes = [
        *out_of_the_pits(),
        (165_000, car(4, Sectors={"0": {"Value": "29.738"}, "1": CLEAR, "2": CLEAR})),
        (230_000, car(4, InPit=True)),
    ]
    _, last = assemble(changes, race=False)
    assert (last.end, last.pit_in, last.sectors) == (230_000, 230_000, (29_738, None, None))


def test_a_feed_that_jumps_back_for_a_moment_makes_no_lap() -> None:
    jump = car(4, Sectors={"0": CLEAR, "1": {"Value": "37.675"}, "2": {"Value": "28.327"}})
    back = car(4, Sectors={"0": {"Value": "26.743"}, "1": CLEAR, "2": CLEAR})
    changes = [
        *out_of_the_pits(),
        (165_000, back),
        (165_047, jump),
        (165_050, back),
        (191_000, car(4, Sectors={"1": {"Value": "26.499"}})),
        (215_000, car(4, NumberOfLaps=3, Sectors={"2": {"Value": "26.000"}})),
    ]
    _, lap = assemble(changes, race=False)
    assert lap.sectors == (26_743, 26_499, 26_000)


def test_a_count_of_laps_that_goes_back_is_passed_over_until_it_is_there_again() -> None:
    changes = list(race_laps(4, LAPS))
    old = changes[1:6]
    assembler = LapAssembler(race=True)
    closed: list[ClosedLap] = []
    for time, change in [*changes, *((400_000 + t, c) for t, c in old)]:
        closed += assembler.change(change, time, "f", 1)
    assert [lap.lap_number for lap in closed + assembler.finish()] == [1, 2, 3]


def test_a_third_sector_that_is_told_again_later_begins_no_lap() -> None:
    changes = list(race_laps(4, LAPS))
    again = (191_020 + GRACE + 1, car(4, Sectors={"2": {"Value": "20.001"}}))
    laps = assemble(sorted([*changes, again], key=lambda entry: entry[0]))
    assert [lap.sectors for lap in laps] == LAPS


def test_laps_that_got_lost_are_missing_in_the_numbering() -> None:
    changes = list(race_laps(4, [*LAPS, *LAPS]))
    # nothing of the third and fourth lap arrives but the way the third began
    kept = [(time, change) for time, change in changes if not 330_000 < time < 460_100]
    assert [lap.lap_number for lap in assemble(kept)] == [1, 2, 5, 6]


def test_a_recording_that_begins_in_the_middle_numbers_as_the_feed_does() -> None:
    race = [(time, change) for time, change in race_laps(4, LAPS) if time > 191_100 or time < 2_000]
    assert [lap.lap_number for lap in assemble([(5, car(4, InPit=False)), *race])] == [2, 3]
    lap = {"0": {"Value": "30.000"}, "1": {"Value": ""}, "2": {"Value": ""}}
    qualifying = [
        (5, car(4, InPit=False, Sectors=lap)),
        (40_000, car(4, Sectors={"1": {"Value": "40.000"}})),
        (60_000, car(4, NumberOfLaps=9, Sectors={"2": {"Value": "20.000"}})),
    ]
    (first,) = assemble(qualifying, race=False)
    assert first.lap_number == 8


@given(st.lists(st.integers(0, 30), max_size=4))
@settings(max_examples=40)
def test_a_restart_anywhere_changes_nothing(stops: list[int]) -> None:
    changes = sorted(
        [*race_laps(4, LAPS), *race_laps(44, [(32_000, 41_000, 21_000)] * 3, start=101_000)],
        key=lambda entry: entry[0],
    )
    assembler = LapAssembler(race=True)
    closed: list[ClosedLap] = []
    for row, (time, change) in enumerate(changes, start=1):
        if row in stops:
            assembler = LapAssembler.restored(json.loads(json.dumps(assembler.state())))
        closed += assembler.change(change, time, "f", row)
    closed += assembler.finish()
    assert closed == assemble(changes)
    numbers = [(lap.driver_number, lap.lap_number) for lap in closed]
    assert len(numbers) == len(set(numbers)) == 6


def test_a_reader_that_joins_late_begins_with_the_lap_under_way() -> None:
    changes = list(race_laps(4, LAPS))
    state = car(4, NumberOfLaps=2, InPit=False, Sectors=[{"Value": "30.000"}, CLEAR, CLEAR])
    assembler = LapAssembler(race=True)
    closed = assembler.snapshot(state, 315_000)
    for time, change in changes:
        if time > 315_000:
            closed += assembler.change(change, time, "f", 1)
    (lap,) = closed + assembler.finish()
    assert (lap.lap_number, lap.sectors) == (3, LAPS[2])


def test_a_reader_that_was_away_leaves_out_what_it_missed() -> None:
    changes = list(race_laps(4, [*LAPS, LAPS[0]]))
    assembler = LapAssembler(race=True)
    closed: list[ClosedLap] = []
    for time, change in changes[:7]:
        closed += assembler.change(change, time, "f", 1)
    shown = [{"Value": "30.000"}, {"Value": "39.400"}, {"Value": "19.600"}]
    closed += assembler.snapshot(car(4, NumberOfLaps=3, InPit=False, Sectors=shown), 371_000)
    for time, change in changes:
        if time > 371_000:
            closed += assembler.change(change, time, "f", 1)
    closed += assembler.finish()
    assert [(lap.lap_number, lap.lap_time) for lap in closed] == [(1, 91_000), (4, 91_000)]


@pytest.mark.parametrize("state", [None, {}, {"version": 1, "drivers": {"4": {"count": 1}}}])
def test_a_state_that_is_none_is_refused(state: Json) -> None:
    with pytest.raises(BadState, match="read the session from its beginning"):
        LapAssembler.restored(state)


def test_a_speed_as_high_as_the_one_before_is_not_sent_again_unless_it_was_emptied() -> None:
    def without_speeds(change: Json) -> Json:
        told = {**change["Lines"]["4"]}  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue, reportOptionalSubscript]
        told.pop("Speeds", None)
        return car(4, **told)

    changes = list(race_laps(4, LAPS))
    silent = [(t, c if t < 192_000 else without_speeds(c)) for t, c in changes]
    assert [lap.speeds for lap in assemble(silent)] == [{"I1": 280.0, "FL": 300.0}] * 3
    emptied = car(4, Speeds={"FL": {"Value": ""}})
    after = sorted([*silent, (230_000, emptied)], key=lambda entry: entry[0])
    assert [lap.speeds for lap in assemble(after)][1:] == [{"I1": 280.0}] * 2
