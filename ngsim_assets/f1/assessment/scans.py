"""The tables of one session, as metrics look at them.

Belongs here: which tables are looked at, and the time all of them are measured in. Does not belong
here: any metric, any storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from ngsim_assets.f1.timing.health import running_spans

Figures = dict[tuple[str, str], float | None]
"""Values by metric and subject."""


@dataclass(frozen=True, slots=True)
class SessionScans:
    """Rows of one session, each in the columns of its table; scans or lazy frames.

    `laps`, `weather`, `track_status` and `race_control` are validated rows; `quarantine` has what
    was refused or set aside. None of telemetry where there is none.
    """

    messages: pl.LazyFrame
    laps: pl.LazyFrame
    weather: pl.LazyFrame
    track_status: pl.LazyFrame
    race_control: pl.LazyFrame
    session_status: pl.LazyFrame
    neutralisations: pl.LazyFrame
    quarantine: pl.LazyFrame
    telemetry: pl.LazyFrame | None = None
    positions: pl.LazyFrame | None = None

    @property
    def by_table(self) -> Mapping[str, pl.LazyFrame]:
        """Those that are there, by the name of their table."""
        told = {f"f1_{field.name}": getattr(self, field.name) for field in fields(self)}
        return {name: scan for name, scan in told.items() if scan is not None}


@dataclass(frozen=True, slots=True)
class Running:
    """When the session ran, in ms.

    Attributes:
        of_feed: whether times are since the start of the feed, or else since 1970: a source
            without session times has UTC.
        spans: from each start to the next status.
        told: whether any status was told.
        over: whether the end of the session was.
        zero: UTC of time 0, ms since 1970; None where the feed has no clock.
    """

    of_feed: bool
    spans: tuple[tuple[int, int], ...]
    told: bool
    over: bool
    zero: int | None

    def covered(self, times: pl.Series, within: float) -> float | None:
        """Percent of running minutes with one of `times`, in ms, within so many ms of its middle.

        Null where nothing is known of either.
        """
        moments = times.drop_nulls().sort().to_numpy()
        if not len(moments) or not self.spans:
            return None
        middles = np.concatenate(
            [
                np.arange(start + 30_000, max(end, start + 30_001), 60_000)
                for start, end in self.spans
            ]
        )
        after = np.clip(np.searchsorted(moments, middles), 0, len(moments) - 1)
        before = np.clip(after - 1, 0, len(moments) - 1)
        nearest = np.minimum(abs(moments[after] - middles), abs(moments[before] - middles))
        return percent(int((nearest <= within).sum()), len(middles))

    def time(self, timestamp: str = "timestamp") -> pl.Expr:
        """The time of rows, in ms; null where it is not known."""
        if self.of_feed:
            return pl.col("session_time_ms").alias("time")
        return pl.col(timestamp).dt.epoch("ms").alias("time")


_OVER = ("Finished", "Finalised", "Ends")


def running(scans: SessionScans) -> Running:
    """When the session ran, by its status; until the last message where no status ended it."""
    status = scans.session_status.select("session_time_ms", "timestamp", "status").collect()
    # rows of a service may have UTC only, where their tables have both
    heard = scans.messages.select(pl.col("session_time_ms").count()).collect().item()
    of_feed = heard > 0 and status["session_time_ms"].count() == status.height
    zero = _zero(scans.messages) if of_feed else 0
    known = Running(of_feed, (), told=False, over=False, zero=zero)
    if status.is_empty():
        return known
    timed = status.with_columns(known.time()).drop_nulls("time").sort("time", maintain_order=True)
    last = scans.messages.select(known.time().max()).collect().item()
    rows = list(timed.select("time", "status").iter_rows())
    end = max([time for time, _ in rows] + ([last] if last is not None else []), default=0)
    started = any(name == "Started" for _, name in rows)
    over = started and any(name in _OVER for _, name in rows)
    return Running(of_feed, tuple(running_spans(rows, end)), told=True, over=over, zero=zero)


def _zero(messages: pl.LazyFrame) -> int | None:
    """UTC of session time 0, by the middle of all messages that have both times."""
    since = pl.col("timestamp").dt.epoch("ms") - pl.col("session_time_ms")
    return messages.select(since.median().round().cast(pl.Int64)).collect().item()


def percent(part: float, whole: float) -> float | None:
    """100 × part / whole, null of nothing."""
    return 100 * part / whole if whole else None
