"""Validation: every row of a table is believed, perhaps with flags, or quarantined with reasons.

Rows in = rows valid + rows quarantined, always. A rule about lap times looks at laps of racing
speed only: under the safety car, on the way into the pits and on cooling laps nothing about a lap
time is wrong.

Belongs here: what rules need to know of other rows, and what comes out. Does not belong here:
rules and thresholds (validation_rules.py), any I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from ngsim_assets.f1.circuits import Circuit
from ngsim_assets.f1.errors import SeveralSessions
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_QUARANTINE,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
    SessionStatus,
)
from ngsim_assets.f1.origin import frame
from ngsim_assets.f1.track_status import GREEN
from ngsim_assets.f1.validation_rules import (
    RACING,
    ROBUST,
    lap_rules,
    race_control_rules,
    ranges,
    track_status_rules,
    weather_rules,
)
from ngsim_assets.quality.rules import FLAGS, REASONS, Rule, evaluate
from ngsim_assets.storage.schema import Table

MAD_TO_SIGMA: Final = 1.4826
"""The standard deviation of a normal distribution over its median absolute deviation."""
FEWEST: Final = 10
"""Racing laps of a session that a spread can be told from."""
_SMALLEST_SPREAD: Final = 0.002


@dataclass(frozen=True, slots=True)
class Validated:
    """What became of the rows of one table.

    Attributes:
        table: its name.
        rows: rows judged.
        valid: rows believed, with their flags.
        quarantined: the others, as rows of f1_quarantine.
        rules: what they were judged by.
    """

    table: str
    rows: int
    valid: pl.DataFrame
    quarantined: pl.DataFrame
    rules: Sequence[Rule]

    @property
    def complete(self) -> bool:
        """Whether every row is in one of both, and in one only."""
        return self.rows == self.valid.height + self.quarantined.height

    @property
    def reasons(self) -> dict[str, int]:
        """Rows quarantined per reason."""
        return _counts(self.quarantined[REASONS])

    @property
    def flags(self) -> dict[str, int]:
        """Valid rows per flag; none of a table without flags."""
        return _counts(self.valid[FLAGS]) if FLAGS in self.valid.columns else {}


def validated_laps(laps: pl.DataFrame, *, race: bool, now: datetime | None = None) -> Validated:
    """Rows of f1_laps of one session, judged; `race` as in `SessionInfo.kind`."""
    return _judged(F1_LAPS, prepared_laps(laps, race=race), laps, lap_rules(_at(now)))


def validated_weather(
    weather: pl.DataFrame, *, circuit: Circuit | None, now: datetime | None = None
) -> Validated:
    """Rows of f1_weather of one session, judged; without a circuit its pressure is not."""
    rules = weather_rules(_at(now), circuit)
    return _judged(F1_WEATHER, prepared_weather(weather), weather, rules)


def validated_track_status(status: pl.DataFrame, *, now: datetime | None = None) -> Validated:
    """Rows of f1_track_status of one session, judged."""
    return _judged(F1_TRACK_STATUS, prepared_status(status), status, track_status_rules(_at(now)))


def validated_race_control(told: pl.DataFrame, *, now: datetime | None = None) -> Validated:
    """Rows of f1_race_control of one session, judged."""
    return _judged(F1_RACE_CONTROL, prepared_messages(told), told, race_control_rules(_at(now)))


def validated_session_status(status: pl.DataFrame) -> Validated:
    """Rows of f1_session_status of one session, judged: each is to have a status."""
    return _judged(F1_SESSION_STATUS, status, status, ranges(SessionStatus))


def prepared_laps(laps: pl.DataFrame, *, race: bool) -> pl.DataFrame:
    """`laps` with what rules need to know of other laps."""
    status = pl.col("track_status").fill_null("")
    green = status.str.contains(f"^[{''.join(sorted(GREEN))}]*$")
    # the field is still together, and slow, when the lap begins on which racing is resumed
    resumed = green.shift(1, fill_value=True).over("driver_number").not_()
    pits = pl.any_horizontal(pl.col("pit_in_ms", "pit_out_ms").is_not_null())
    racing = green & ~resumed & ~pits
    if race:
        racing &= pl.col("lap_number") > 1
    ordered = laps.with_row_index("_row").sort("driver_number", "lap_number", "_row")
    return (
        ordered.with_columns(
            racing.alias(RACING),
            _again("driver_number", "lap_number"),
            pl.col("lap_number").shift(1).over("driver_number").alias("_lap_before"),
            pl.col("lap_end_ms").shift(1).over("driver_number").alias("_end_before"),
        )
        .with_columns((_robust_z() if race else pl.lit(None, pl.Float64)).alias(ROBUST))
        .sort("_row")
    )


def prepared_weather(weather: pl.DataFrame) -> pl.DataFrame:
    """`weather` with what rules need to know of other rows of the same kind and source."""
    of_one = ["kind", "source"]
    ordered = weather.with_row_index("_row").sort("valid_time", "issue_time", "_row")
    observed = pl.col("kind") == "observation"

    def off(column: str) -> pl.Expr:
        around = pl.col(column).rolling_median(5, min_samples=3, center=True).over(of_one)
        return pl.when(observed).then(pl.col(column) - around)

    return ordered.with_columns(
        _again("kind", "source", "issue_time", "valid_time"),
        off("track_temperature").alias("_track_off"),
        off("air_temperature").alias("_air_off"),
        pl.when(observed).then(pl.col("valid_time").diff().over(of_one)).alias("_since"),
    ).sort("_row")


def prepared_status(status: pl.DataFrame) -> pl.DataFrame:
    """`status` with what rules need to know of the code before."""
    ordered = status.with_row_index("_row").sort("session_time_ms", "timestamp", "_row")
    return ordered.with_columns(
        _again("session_time_ms", "timestamp", "code"),
        pl.col("code").shift(1).alias("_code_before"),
    ).sort("_row")


def prepared_messages(told: pl.DataFrame) -> pl.DataFrame:
    """`told` with whether its number came before."""
    return told.with_row_index("_row").with_columns(_again("number"))


def _again(*columns: str) -> pl.Expr:
    """Whether a row with the same values came before."""
    return pl.struct(columns).is_first_distinct().not_().alias("_again")


def _robust_z() -> pl.Expr:
    """Robust z-score of racing laps: against the driver's median, in the spread of the field.

    A spread under 0.2 % of a lap is none that laps of people have.
    """
    time = pl.when(RACING).then("lap_time_ms").cast(pl.Float64)
    pace = time / time.median().over("driver_number") - 1
    spread = (pace - pace.median()).abs().median() * MAD_TO_SIGMA
    return pl.when(time.count() >= FEWEST).then(
        (pace - pace.median()) / pl.max_horizontal(spread, _SMALLEST_SPREAD)
    )


def _judged(
    table: Table, prepared: pl.DataFrame, rows: pl.DataFrame, rules: Sequence[Rule]
) -> Validated:
    sessions = rows["session"].unique().sort().to_list()
    if len(sessions) > 1:
        raise SeveralSessions([str(session) for session in sessions])
    judged = evaluate(prepared, rules)
    wrong = judged[REASONS].list.len() > 0
    names = list(table.columns)
    refused = judged.filter(wrong)
    quarantined = refused.select(
        "session",
        "date",
        pl.lit("validated").alias("stage"),
        pl.lit(table.name).alias("table"),
        REASONS,
        pl.struct(name for name in names if name != FLAGS).struct.json_encode().alias("content"),
        "source_file",
        "source_row",
    )
    return Validated(
        table=table.name,
        rows=rows.height,
        valid=judged.filter(~wrong).select(names),
        quarantined=quarantined if refused.height else frame(F1_QUARANTINE, []),
        rules=rules,
    )


def _counts(names: pl.Series) -> dict[str, int]:
    counted = names.explode().drop_nulls().value_counts(name="rows")
    return dict(sorted(counted.rows()))


def _at(now: datetime | None) -> datetime:
    return datetime.now(UTC) if now is None else now
