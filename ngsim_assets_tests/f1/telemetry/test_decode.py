"""Payloads become rows as delivered, whatever their form, and every message is accounted for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.recordings import read_file
from ngsim_assets.f1.telemetry.decode import CAR_COLUMNS, decode_cars, decode_positions
from ngsim_assets.f1.telemetry.rates import rates
from ngsim_assets.f1.telemetry.streams import car_data, positions
from ngsim_assets.f1.telemetry.tolerant import read_message
from ngsim_assets_tests.f1.telemetry.payloads import car_message, place_message

_AT = "2024-10-26T17:15:49.3337638Z"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_a_message_of_car_data_becomes_a_row_per_car_and_entry() -> None:
    decoded = decode_cars(
        [
            car_message(
                (_AT, {"1": (11_000, 297, 8, 100, 0, 12), "44": (0, 0, 0, 104, 104, 0)}),
                ("2024-10-26T17:15:49.6Z", {"1": (10_900, 298, 8, 99, 0, 12)}),
            )
        ]
    )
    assert decoded.entries == 2
    assert decoded.frame.select("entry", "driver_number", *CAR_COLUMNS).rows() == [
        (0, 1, 11_000, 297, 8, 100, 0, 12),
        (0, 44, 0, 0, 0, 104, 104, 0),
        (1, 1, 10_900, 298, 8, 99, 0, 12),
    ]
    assert decoded.frame["timestamp"].to_list()[::2] == [
        datetime(2024, 10, 26, 17, 15, 49, 333763, tzinfo=UTC),
        datetime(2024, 10, 26, 17, 15, 49, 600000, tzinfo=UTC),
    ]


def test_positions_keep_status_and_sign() -> None:
    message = place_message(
        (_AT, {"1": ("OnTrack", -5784, 0, 22_270), "4": ("OffTrack", 1, -2, 3)})
    )
    rows = decode_positions([message]).frame.select("driver_number", "status", "^._dm$").rows()
    assert rows == [(1, "OnTrack", -5784, 0, 22_270), (4, "OffTrack", 1, -2, 3)]


def test_since_2026_there_is_no_channel_45() -> None:
    decoded = decode_cars([car_message((_AT, {"1": (11_000, 297, 8, 100, 0)}))])
    assert decoded.frame["drs"].to_list() == [None]
    assert decoded.frame["speed_kmh"].to_list() == [297]


def test_messages_of_another_form_are_read_in_their_order_and_what_is_left_is_counted() -> None:
    usual = car_message((_AT, {"1": (1, 2, 3, 4, 5, 6)}))
    spaced = json.dumps(
        {
            "Entries": [
                {"Cars": {"4": {"Channels": {"2": "7", "0": 8.0, "9": 1, "3": "N"}}}, "Utc": _AT}
            ]
        }
    ).encode()
    decoded = decode_cars(
        [
            usual,
            b"{",
            spaced,
            b'{"Entries":{}}',
            b'{"Entries":[{"Utc":"soon","Cars":{}},{"Utc":"2024-10-26T17:15:49Z","Cars":{"x":{}}}]}',
            usual,
        ]
    )
    assert decoded.set_aside == {1: "damaged_json", 3: "not_a_message"}
    assert decoded.frame.select("message", "driver_number", "rpm", "speed_kmh", "gear").rows() == [
        (0, 1, 1, 2, 3),
        (2, 4, 8, 7, None),
        (5, 1, 1, 2, 3),
    ]
    assert decoded.left == {
        "channel_9_unknown": 1,
        "3_not_a_number": 1,
        "entry_without_time": 1,
        "car_without_number": 1,
    }
    assert decoded.messages == 6


def test_no_prefix_of_a_message_is_taken_for_one() -> None:
    whole = car_message((_AT, {"1": (1, 2, 3, 4, 5, 6), "16": (9, 8, 7, 6, 5, 4)}))
    cut = [whole[:end] for end in range(len(whole))]
    decoded = decode_cars(cut)
    assert decoded.frame.is_empty()
    assert len(decoded.set_aside) == len(cut)
    places = place_message((_AT, {"1": ("OnTrack", 1, 2, 3)}))
    assert decode_positions([places[:end] for end in range(len(places))]).frame.is_empty()


_number = st.integers(-(10**10), 10**10) | st.integers(0, 104)
_times = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31)).map(  # noqa: DTZ001
    lambda time: time.isoformat() + "Z"
)
_cars = st.dictionaries(
    st.integers(0, 250).map(str),
    st.dictionaries(st.sampled_from(["0", "2", "3", "4", "5", "45", "77"]), _number, max_size=6),
    max_size=3,
)


@settings(max_examples=40)
@given(st.lists(st.lists(st.tuples(_times, _cars), max_size=3), max_size=4), st.booleans())
def test_the_fast_reader_and_the_tolerant_one_agree(
    told: list[list[tuple[str, dict[str, dict[str, int]]]]], compact: bool
) -> None:
    separators = (",", ":") if compact else None
    messages = [
        json.dumps(
            {
                "Entries": [
                    {
                        "Utc": utc,
                        "Cars": {n: {"Channels": channels} for n, channels in cars.items()},
                    }
                    for utc, cars in entries
                ]
            },
            separators=separators,
        ).encode()
        for entries in told
    ]
    expected: list[tuple[Any, ...]] = []
    for number, message in enumerate(messages):
        for entry, micros, car, values in read_message(message, positions=False).rows:
            expected.append((number, entry, _EPOCH + timedelta(microseconds=micros), car, *values))
    assert decode_cars(messages).frame.rows() == expected


def test_a_real_recording_is_decoded_to_the_row(f1_data: Path) -> None:
    recording = f1_data / "recordings/2024-10-26_mexico_fp3_presession_car_and_position.txt"
    session = SessionKey.parse("2024-10-26_mexico-city_practice-3")
    messages, origin = read_file(recording, str(session)).messages, Origin(session, "signalr")
    cars, places = car_data(messages, origin), positions(messages, origin)
    assert cars is not None
    assert places is not None
    assert (cars.messages, cars.decoded, cars.aside, +cars.left) == (952, 72_340, [], {})
    assert (places.messages, places.decoded, places.aside) == (952, 76_152, [])
    assert places.measured.other_cars == {241: 764, 242: 764, 243: 764}
    assert places.measured.frame.height == 76_152 - 3 * 764
    assert cars.measured.nulled == {
        "throttle_missing": 19_171,
        "brake_missing": 19_173,
        "gear_out_of_range": 65,
    }
    assert cars.measured.frame["speed"].max() == 82.5  # 297 km/h
    assert cars.measured.rejected.is_empty()
    assert places.measured.rejected.is_empty()
    told = rates(cars.measured.frame)
    assert told["rows"].unique().to_list() == [3617]
    assert told["rate_hz"].mean() == pytest.approx(3.79, abs=0.01)
    assert [round(gap) for gap in told.select("median_gap_ms", "p99_gap_ms").row(0)] == [240, 480]
    assert told["longest_gap_ms"].max() == pytest.approx(1200, abs=20)
    assert rates(places.measured.frame)["rate_hz"].mean() == pytest.approx(3.87, abs=0.01)
    # what the compiled reader took, the tolerant one reads alike
    texts = [str(m.payload).encode() for m in messages if m.topic == "Position.z"][:40]
    slowly = [row for text in texts for row in read_message(text, positions=True).rows]
    fast = decode_positions(texts).frame.select("driver_number", "status", "x_dm", "y_dm", "z_dm")
    assert fast.rows() == [(car, *values) for _, _, car, values in slowly]
