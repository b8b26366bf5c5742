"""Resampled rows lie on a common grid, bridge no long gap and never invent a gear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.telemetry.decode import decode_cars
from ngsim_assets.f1.telemetry.errors import RateOutOfRange
from ngsim_assets.f1.telemetry.model import ResampledTelemetry
from ngsim_assets.f1.telemetry.ranges import Lines, car_rows
from ngsim_assets.f1.telemetry.resample import resample
from ngsim_assets_tests.f1.telemetry.payloads import car_message

_START = datetime(2025, 5, 3, 16, 0, tzinfo=UTC)
_ORIGIN = Origin(SessionKey.parse("2025-05-03_miami_sprint"), "signalr", simulated=True)


def _measured(*rows: tuple[int, tuple[int, int, int, int, int, int]]) -> pl.DataFrame:
    messages = [
        car_message(
            (
                (_START + timedelta(milliseconds=ms)).isoformat().replace("+00:00", "Z"),
                {"4": values},
            )
        )
        for ms, values in rows
    ]
    lines = Lines(["a.txt"] * len(rows), range(1, len(rows) + 1))
    return car_rows(decode_cars(messages).frame, _ORIGIN, lines).frame


def _at(frame: pl.DataFrame, ms: int) -> dict[str, object]:
    return frame.row(
        by_predicate=pl.col("timestamp") == _START + timedelta(milliseconds=ms), named=True
    )


def test_continuous_channels_are_interpolated_and_codes_hold() -> None:
    rows = _measured((0, (10_000, 180, 5, 0, 100, 8)), (400, (12_000, 216, 6, 100, 0, 12)))
    made = resample(rows, 10)
    assert made["timestamp"].to_list() == [
        _START + timedelta(milliseconds=k * 100) for k in range(5)
    ]
    assert made["rpm"].to_list() == [10_000, 10_500, 11_000, 11_500, 12_000]
    assert made["speed"].to_list() == pytest.approx([50, 52.5, 55, 57.5, 60], abs=1e-3)
    assert made["gear"].to_list() == [5, 5, 5, 5, 6]
    assert made["drs"].to_list() == [8, 8, 8, 8, 12]
    assert made["brake"].to_list() == [100, 100, 100, 100, 0]
    for row in made.iter_rows(named=True):
        ResampledTelemetry.model_validate(row)


def test_a_long_gap_stays_one() -> None:
    one = (10_000, 180, 5, 0, 0, 8)
    made = resample(_measured((0, one), (200, one), (2000, one), (2200, one)), 20, gap_limit_ms=500)
    speeds = made.filter(pl.col("speed").is_not_null())["timestamp"].to_list()
    since = [(time - _START) // timedelta(milliseconds=1) for time in speeds]
    assert since == [0, 50, 100, 150, 200, 2000, 2050, 2100, 2150, 2200]
    assert _at(made, 700)["gear"] == 5
    assert made.filter(pl.col("timestamp") == _START + timedelta(milliseconds=750)).is_empty()


def test_a_missing_reading_is_bridged_only_within_the_limit() -> None:
    rows = _measured(
        (0, (1, 180, 5, 40, 0, 8)), (200, (1, 180, 5, 104, 0, 8)), (400, (1, 180, 5, 60, 0, 8))
    )
    assert _at(resample(rows, 10), 200)["throttle"] == 50
    short = resample(rows, 10, gap_limit_ms=300)
    assert _at(short, 200)["throttle"] is None
    assert _at(short, 200)["speed"] == 50


def test_every_resampled_row_says_so() -> None:
    made = resample(_measured((0, (1, 2, 3, 4, 0, 0)), (300, (1, 2, 3, 4, 0, 0))), 60)
    assert made["resampled"].all()
    assert made["simulated"].all()
    assert made["rate_hz"].unique().to_list() == [60.0]


@pytest.mark.parametrize("rate", [9.9, 60.5])
def test_rates_beyond_10_to_60_are_refused(rate: float) -> None:
    with pytest.raises(RateOutOfRange, match="10 to 60 Hz"):
        resample(_measured((0, (1, 2, 3, 4, 0, 0))), rate)
