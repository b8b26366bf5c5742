"""Laps of real sessions against FastF1's: equal to the millisecond, every difference explained."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.f1.errors import FeedUnreadable
from ngsim_assets.f1.model import F1_LAPS
from ngsim_assets.f1.origin import frame
from ngsim_assets.f1.timing.comparison import EXPLANATIONS, compare, fastf1_laps
from ngsim_assets.f1.timing.laps import Around, lap_table
from ngsim_assets_tests.f1.conftest import RealSession

TABLES = {
    "2018-04-29_azerbaijan_race": "2018_Azerbaijan_Grand_Prix_Race",
    "2019-09-07_italian_qualifying": "2019_Italian_Grand_Prix_Qualifying",
    "2021-11-06_mexico-city_qualifying": "2021_Mexico_City_Grand_Prix_Qualifying",
    "2023-04-28_azerbaijan_qualifying": "2023_Azerbaijan_Grand_Prix_Qualifying",
    "2024-06-22_spanish_qualifying": "2024_Spanish_Grand_Prix_Qualifying",
}


@pytest.mark.parametrize("key", TABLES)
def test_all_laps_the_feed_tells_are_those_of_fastf1(
    key: str, real_sessions: dict[str, RealSession], f1_data: Path
) -> None:
    reference = fastf1_laps(f1_data / "fastf1_laps" / f"{TABLES[key]}.laps.csv.gz")
    compared = compare(real_sessions[key].tables.laps, reference)
    assert compared.share_of_told == 1.0
    assert compared.share >= 0.975
    assert "unexplained" not in compared.reasons
    assert set(compared.reasons) <= set(EXPLANATIONS)
    # only cars that stopped on the track have a lap there and not here
    assert compared.reference - compared.laps == compared.reasons.get("generated", 0)


@pytest.mark.parametrize(
    ("key", "column", "share"),
    [
        ("2018-04-29_azerbaijan_race", "TrackStatus", 1.0),
        ("2018-04-29_azerbaijan_race", "Position", 0.97),
        ("2019-09-07_italian_qualifying", "Compound", 1.0),
        ("2021-11-06_mexico-city_qualifying", "TyreLife", 1.0),
        ("2021-11-06_mexico-city_qualifying", "Deleted", 1.0),
        ("2023-04-28_azerbaijan_qualifying", "IsAccurate", 0.99),
        ("2024-06-22_spanish_qualifying", "IsPersonalBest", 1.0),
        ("2024-06-22_spanish_qualifying", "Stint", 1.0),
    ],
)
def test_what_is_told_beside_the_times_agrees_too(
    key: str, column: str, share: float, real_sessions: dict[str, RealSession], f1_data: Path
) -> None:
    here = {
        "TrackStatus": "track_status",
        "Position": "position",
        "Compound": "compound",
        "TyreLife": "tyre_life",
        "Deleted": "deleted",
        "IsAccurate": "accurate",
        "IsPersonalBest": "personal_best",
        "Stint": "stint",
    }[column]
    path = f1_data / "fastf1_laps" / f"{TABLES[key]}.laps.csv.gz"
    told = pl.read_csv(path, infer_schema=False).select(
        pl.col("DriverNumber").cast(pl.Int32).alias("driver_number"),
        pl.col("LapNumber").cast(pl.Float64).cast(pl.Int32).alias("lap_number"),
        pl.col(column).str.to_lowercase().str.strip_suffix(".0").alias("there"),
    )
    both = real_sessions[key].tables.laps.join(told, on=["driver_number", "lap_number"])
    equal = (both[here].cast(pl.String).str.to_lowercase() == both["there"]).mean()
    assert equal is not None
    assert float(equal) >= share  # pyright: ignore[reportArgumentType]


def test_a_difference_without_a_reason_is_told() -> None:
    row = {"driver_number": 4, "lap_number": 2, "lap_time_ms": 90_001, "sector1_ms": 30_000}
    reference = pl.DataFrame(
        {
            "driver_number": [4, 4],
            "lap_number": [2, 3],
            "lap_time_ms": [90_000, None],
            "sector1_ms": [30_000, None],
            "sector2_ms": [None, None],
            "sector3_ms": [None, None],
            "generated": [False, False],
        },
        schema_overrides={
            "driver_number": pl.Int32,
            "lap_number": pl.Int32,
            **dict.fromkeys(("lap_time_ms", "sector1_ms", "sector2_ms", "sector3_ms"), pl.Int32),
        },
    )
    compared = compare(frame(F1_LAPS, [row]), reference)
    assert (compared.timed, compared.equal, compared.share) == (1, 0, 0.0)
    assert compared.differences.rows() == [
        (4, 2, "lap_time_ms", 90_000, 90_001, "unexplained"),
        (4, 3, "lap_number", 3, None, "unexplained"),
    ]


def test_an_absent_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedUnreadable):
        fastf1_laps(tmp_path / "absent.csv")


def test_first_laps_are_complete_where_a_service_of_results_tells_them(
    real_sessions: dict[str, RealSession], f1_data: Path
) -> None:
    key = "2018-04-29_azerbaijan_race"
    session = real_sessions[key]
    reference = fastf1_laps(f1_data / "fastf1_laps" / f"{TABLES[key]}.laps.csv.gz")
    # FastF1 had them from Ergast
    first = reference.filter(pl.col("lap_number") == 1, pl.col("lap_time_ms").is_not_null())
    told = dict(first.select("driver_number", "lap_time_ms").rows())
    around = Around(session.origin, race=True, first_laps=told)
    laps = lap_table(session.closed, around)
    compared = compare(laps, reference)
    assert (compared.equal, compared.untold) == (compared.timed, 0)
    assert laps.filter(lap_time_from="results").height == len(told) == 18
