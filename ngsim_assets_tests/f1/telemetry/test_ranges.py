"""Codes become nulls with a reason, impossible rows are rejected, other cars counted."""

from __future__ import annotations

import pytest

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.telemetry.decode import decode_cars, decode_positions
from ngsim_assets.f1.telemetry.model import CarPosition, CarTelemetry
from ngsim_assets.f1.telemetry.ranges import Lines, Measured, car_rows, position_rows
from ngsim_assets_tests.f1.telemetry.payloads import car_message, place_message

_AT = "2024-10-26T17:15:49.3337638Z"
_ORIGIN = Origin(SessionKey.parse("2024-10-26_mexico-city_practice-3"), "signalr")
_LINES = Lines(["a.txt", "b.txt"], [7, 8])


def _cars(*rows: tuple[int, int, int, int, int, int]) -> Measured:
    cars = {str(number): row for number, row in enumerate(rows, start=1)}
    return car_rows(decode_cars([car_message((_AT, cars))]).frame, _ORIGIN, _LINES)


@pytest.mark.parametrize(
    ("delivered", "column", "reason"),
    [
        ((9000, 100, 4, 104, 0, 8), "throttle", "throttle_missing"),
        ((9000, 100, 4, 103, 0, 8), "throttle", "throttle_out_of_range"),
        ((9000, 100, 4, 50, 104, 8), "brake", "brake_missing"),
        ((9000, 100, 9, 50, 0, 8), "gear", "gear_out_of_range"),
        ((0, 0, 49, 0, 0, 8), "gear", "gear_out_of_range"),
        ((15_001, 100, 4, 50, 0, 8), "rpm", "rpm_out_of_range"),
        ((9000, -1, 4, 50, 0, 8), "speed", "speed_out_of_range"),
        ((9000, 100, 4, 50, 0, 15), "drs", "drs_out_of_range"),
    ],
)
def test_a_code_becomes_null_with_its_reason(
    delivered: tuple[int, int, int, int, int, int], column: str, reason: str
) -> None:
    measured = _cars(delivered)
    row = measured.frame.row(0, named=True)
    assert row[column] is None
    assert row["nulled"] == [reason]
    assert measured.nulled == {reason: 1}
    others = {"rpm", "speed", "gear", "throttle", "brake", "drs"} - {column}
    assert all(row[name] is not None for name in others)


def test_speed_is_rejected_over_400_and_flagged_over_370() -> None:
    row = (12_000, 0, 8, 100, 0, 12)
    measured = _cars(*((row[0], speed, *row[2:]) for speed in (370, 371, 400, 401)))
    assert measured.frame["flags"].to_list() == [[], ["speed_over_370"], ["speed_over_370"]]
    assert measured.warned == {"speed_over_370": 2}
    assert measured.rejected.select("speed_kmh", "reasons").rows() == [(401, ["speed_over_400"])]


def test_rows_are_rows_of_the_model_and_speeds_come_back_to_the_unit() -> None:
    measured = _cars(*((100, speed, 1, 104, 0, 0) for speed in range(99)))
    for row in measured.frame.iter_rows(named=True):
        CarTelemetry.model_validate(row)
    assert [round(v * 3.6) for v in measured.frame["speed"]] == list(range(99))
    assert measured.frame["source_row"].unique().to_list() == [7]
    assert measured.frame["source_file"].unique().to_list() == ["a.txt"]


def test_positions_are_metres_and_nowhere_is_null() -> None:
    message = place_message(
        (
            _AT,
            {
                "1": ("OnTrack", -57_843, 10, 22_270),
                "2": ("OnTrack", 0, 0, 0),
                "3": ("Gone", 1, 0, 0),
            },
        )
    )
    measured = position_rows(decode_positions([message]).frame, _ORIGIN, _LINES)
    rows = measured.frame.select("x", "y", "z", "status", "nulled").rows()
    assert rows[0][:3] == pytest.approx((-5784.3, 1.0, 2227.0), abs=0.01)
    assert [round(value * 10) for value in rows[0][:3]] == [-57_843, 10, 22_270]
    assert rows[1] == (None, None, None, "OnTrack", ["no_position"])
    assert rows[2][3:] == (None, ["status_unknown"])
    for row in measured.frame.iter_rows(named=True):
        CarPosition.model_validate(row)


def test_cars_that_do_not_take_part_are_counted_and_left_out() -> None:
    place = ("OnTrack", 1, 2, 3)
    entries = {"1": place, "77": place, "241": place}
    later = _AT.replace(":49", ":50")
    delivered = decode_positions([place_message((_AT, entries), (later, entries))]).frame
    without_list = position_rows(delivered, _ORIGIN, _LINES)
    assert without_list.other_cars == {241: 2}
    with_list = position_rows(delivered, _ORIGIN, _LINES, {1})
    assert with_list.other_cars == {77: 2, 241: 2}
    assert with_list.frame.height + with_list.other_cars.total() == delivered.height


def test_a_moment_that_is_told_twice_is_kept_once() -> None:
    told = car_message((_AT, {"1": (9000, 100, 4, 50, 0, 8), "4": (9000, 401, 4, 50, 0, 8)}))
    measured = car_rows(decode_cars([told, told]).frame, _ORIGIN, _LINES)
    assert measured.frame.select("driver_number", "source_row").rows() == [(1, 7)]
    assert measured.rejected.select("driver_number", "source_row", "reasons").rows() == [
        (4, 7, ["speed_over_400"]),
        (1, 8, ["repeated"]),
        (4, 8, ["speed_over_400", "repeated"]),
    ]
    place = place_message((_AT, {"1": ("OnTrack", 1, 2, 3)}))
    placed = position_rows(decode_positions([place, place]).frame, _ORIGIN, _LINES)
    assert (placed.frame.height, placed.rejected["reasons"].to_list()) == (1, [["repeated"]])


def test_an_empty_frame_stays_empty() -> None:
    assert car_rows(decode_cars([]).frame, _ORIGIN, _LINES).frame.is_empty()
    assert position_rows(decode_positions([]).frame, _ORIGIN, _LINES).nulled == {}
