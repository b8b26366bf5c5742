"""Rows of OpenF1 become the same rows as messages of the feed."""

from __future__ import annotations

import json
from pathlib import Path

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.openf1 import read_file, read_response
from ngsim_assets.f1.telemetry.streams import car_data, positions

_SESSION = SessionKey.parse("2023-09-16_singapore_practice-3")
_ORIGIN = Origin(_SESSION, "openf1")


def _body(*rows: dict[str, object]) -> bytes:
    return json.dumps([{"session_key": 1, **row} for row in rows]).encode()


def test_locations_are_positions_without_status() -> None:
    body = _body(
        {
            "driver_number": 55,
            "date": "2023-09-16T12:45:01.786000+00:00",
            "x": -57,
            "y": 3,
            "z": 18,
        },
        {"driver_number": 55, "date": "2023-09-16T12:45:02.1+00:00", "x": 0, "y": 0, "z": 0},
        {"driver_number": None, "date": "2023-09-16T12:45:03+00:00", "x": 1, "y": 1, "z": 1},
    )
    found = positions(read_response(body, str(_SESSION), "location", "l").messages, _ORIGIN)
    assert found is not None
    rows = found.measured.frame
    assert [round(10 * value) for value in rows.select("x", "y", "z").row(0)] == [-57, 3, 18]
    assert rows["nulled"].to_list() == [[], ["no_position"]]
    assert rows["status"].to_list() == [None, None]
    assert [(item.line, item.reason) for item in found.aside] == [(3, "not_a_message")]
    assert found.messages == found.decoded + len(found.aside)


def test_a_real_response_is_decoded_to_the_row(f1_data: Path) -> None:
    path = f1_data / "openf1/car_data_session_9161.json"
    reading = read_file(path, str(_SESSION), "car_data")
    found = car_data(reading.messages, _ORIGIN)
    assert found is not None
    rows = found.measured.frame
    assert (rows.height, found.aside, +found.left) == (1163, [], {})
    assert found.measured.nulled["brake_missing"] == 1
    assert rows["driver_number"].unique().to_list() == [55]
    assert rows["source"].unique().to_list() == ["openf1"]
