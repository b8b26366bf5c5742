"""Tables of FastF1 in the columns of ours: laps, weather, status and messages of one session.

FastF1 has times since the start of the feed as durations (in seconds where a table was written as
CSV), speeds in km/h, and messages of race control in UTC. Laps that it makes up itself are left
out and counted: no feed told of them.

Belongs here: what FastF1's columns mean. Does not belong here: FastF1 itself, which is never
imported.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.errors import NotAFeed
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.origin import Origin
from ngsim_assets.storage.schema import Table

KMH = 1 / 3.6
_NOTHING = ("", "nan", "NaT", "None", "<NA>")


@dataclass(frozen=True, slots=True)
class Told:
    """Rows of one table. rows: rows that FastF1 has = rows of `frame` + `made_up`."""

    frame: pl.DataFrame
    rows: int
    made_up: int = 0


def laps(told: pl.DataFrame, origin: Origin, file: str, clock: SessionClock | None = None) -> Told:
    """Rows of f1_laps of FastF1's `session.laps`.

    Args:
        told: FastF1's columns, as numbers, durations or text.
        file: what the rows say they come from.
        clock: of the session (FastF1's `t0_date`), for points in time.
    """
    numbered = _numbered(told, file, "DriverNumber", "LapNumber", "LapTime", "Time")
    made_up = _truth("FastF1Generated") if "FastF1Generated" in told.columns else pl.lit(False)
    kept = numbered.filter(~made_up.fill_null(value=False))
    rows = kept.with_columns(
        driver_number=_whole("DriverNumber"),
        driver=_text("Driver"),
        team=_text("Team"),
        lap_number=_whole("LapNumber"),
        stint=_whole("Stint"),
        lap_time_ms=_ms(kept, "LapTime"),
        sector1_ms=_ms(kept, "Sector1Time"),
        sector2_ms=_ms(kept, "Sector2Time"),
        sector3_ms=_ms(kept, "Sector3Time"),
        lap_start_ms=_ms(kept, "LapStartTime"),
        lap_end_ms=_ms(kept, "Time"),
        sector1_end_ms=_ms(kept, "Sector1SessionTime"),
        sector2_end_ms=_ms(kept, "Sector2SessionTime"),
        sector3_end_ms=_ms(kept, "Sector3SessionTime"),
        pit_in_ms=_ms(kept, "PitInTime"),
        pit_out_ms=_ms(kept, "PitOutTime"),
        speed_i1=_number("SpeedI1") * KMH,
        speed_i2=_number("SpeedI2") * KMH,
        speed_fl=_number("SpeedFL") * KMH,
        speed_st=_number("SpeedST") * KMH,
        compound=_text("Compound"),
        tyre_life=_whole("TyreLife"),
        fresh_tyre=_truth("FreshTyre"),
        position=_whole("Position"),
        track_status=_text("TrackStatus"),
        personal_best=_truth("IsPersonalBest"),
        deleted=_truth("Deleted").fill_null(value=False),
        deleted_reason=_text("DeletedReason"),
        accurate=_truth("IsAccurate").fill_null(value=False),
    ).with_columns(
        lap_time_from=pl.when(pl.col("lap_time_ms").is_not_null()).then(pl.lit("delivered")),
        start_timestamp=_utc("lap_start_ms", clock),
        timestamp=_utc("lap_end_ms", clock),
    )
    return Told(_rows(F1_LAPS, rows, origin), told.height, told.height - kept.height)


def weather(told: pl.DataFrame, origin: Origin, file: str, clock: SessionClock) -> Told:
    """Rows of f1_weather of FastF1's `session.weather_data`."""
    numbered = _numbered(told, file, "Time", "AirTemp")
    rows = numbered.with_columns(
        kind=pl.lit("observation"),
        session_time_ms=_ms(numbered, "Time"),
        air_temperature=_number("AirTemp"),
        track_temperature=_number("TrackTemp"),
        humidity=_number("Humidity"),
        pressure=_number("Pressure"),
        wind_speed=_number("WindSpeed"),
        wind_direction=_number("WindDirection"),
        rainfall=_truth("Rainfall"),
    ).with_columns(
        issue_time=_utc("session_time_ms", clock), valid_time=_utc("session_time_ms", clock)
    )
    return Told(_rows(F1_WEATHER, rows, origin), told.height)


def track_status(
    told: pl.DataFrame, origin: Origin, file: str, clock: SessionClock | None = None
) -> Told:
    """Rows of f1_track_status of FastF1's `session.track_status`."""
    numbered = _numbered(told, file, "Time", "Status")
    rows = numbered.with_columns(
        session_time_ms=_ms(numbered, "Time"), code=_text("Status"), message=_text("Message")
    ).with_columns(timestamp=_utc("session_time_ms", clock))
    return Told(_rows(F1_TRACK_STATUS, rows, origin), told.height)


def session_status(
    told: pl.DataFrame, origin: Origin, file: str, clock: SessionClock | None = None
) -> Told:
    """Rows of f1_session_status of FastF1's `session.session_status`."""
    numbered = _numbered(told, file, "Time", "Status")
    rows = numbered.with_columns(session_time_ms=_ms(numbered, "Time"), status=_text("Status"))
    rows = rows.with_columns(timestamp=_utc("session_time_ms", clock))
    return Told(_rows(F1_SESSION_STATUS, rows, origin), told.height)


def race_control(
    told: pl.DataFrame, origin: Origin, file: str, clock: SessionClock | None = None
) -> Told:
    """Rows of f1_race_control of FastF1's `session.race_control_messages`."""
    numbered = _numbered(told, file, "Time", "Message")
    time = pl.col("Time")
    moment = time if told.schema["Time"].is_temporal() else time.str.to_datetime(strict=False)
    rows = numbered.with_columns(
        number=(pl.col("source_row") - 1).cast(pl.Int32),
        timestamp=moment.dt.replace_time_zone(None).dt.replace_time_zone("UTC"),
        lap=_whole("Lap"),
        category=_text("Category"),
        flag=_text("Flag"),
        scope=_text("Scope"),
        sector=_whole("Sector"),
        status=_text("Status"),
        driver_number=_whole("RacingNumber"),
        message=_text("Message"),
    )
    if clock is not None:
        since = (pl.col("timestamp") - clock.start).dt.total_milliseconds()
        rows = rows.with_columns(session_time_ms=since)
    return Told(_rows(F1_RACE_CONTROL, rows, origin), told.height)


def _numbered(told: pl.DataFrame, file: str, *needed: str) -> pl.DataFrame:
    missing = [name for name in needed if name not in told.columns]
    if missing:
        raise NotAFeed(file, f"a table of FastF1 without {', '.join(missing)}")
    return told.with_row_index("source_row", offset=1).with_columns(source_file=pl.lit(file))


def _rows(table: Table, rows: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """The columns of `table`, null where FastF1 has none."""
    constant = {
        "session": str(origin.session),
        "date": origin.session.date,
        "source": origin.source,
        "simulated": origin.simulated,
    }
    rows = rows.with_columns(pl.lit(value).alias(name) for name, value in constant.items())
    if "flags" in table.columns:
        rows = rows.with_columns(pl.lit([], dtype=pl.List(pl.String)).alias("flags"))
    absent = [name for name in table.columns if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None).alias(name) for name in absent)
    return rows.select(pl.col(name).cast(dtype) for name, dtype in table.schema.items())


def _text(name: str) -> pl.Expr:
    words = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(words.is_in(_NOTHING).not_()).then(words)


def _number(name: str) -> pl.Expr:
    value = _text(name).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def _whole(name: str) -> pl.Expr:
    return _number(name).round().cast(pl.Int32)


def _truth(name: str) -> pl.Expr:
    words = _text(name).str.to_lowercase()
    return (
        pl.when(words.is_in(["true", "1"])).then(True).when(words.is_in(["false", "0"])).then(False)
    )


def _ms(told: pl.DataFrame, name: str) -> pl.Expr:
    """Whole milliseconds of a column of durations, or of seconds."""
    if isinstance(told.schema[name], pl.Duration):
        return (pl.col(name).dt.total_nanoseconds() / 1e6).round().cast(pl.Int64)
    return (_number(name) * 1000).round().cast(pl.Int64)


def _utc(name: str, clock: SessionClock | None) -> pl.Expr:
    if clock is None:
        return pl.lit(None, pl.Datetime("us", "UTC"))
    start = pl.lit(clock.start).cast(pl.Datetime("us", "UTC"))
    return start + pl.duration(milliseconds=pl.col(name))
