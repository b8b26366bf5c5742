"""What pictures over a session share: the race's own clock, and phases shaded behind.

Belongs here: colours of the status of the track, spans in which a code was in force, the axis of
time. Does not belong here: how pictures look in general (quality/drawing.py).
"""

# pyright: reportUnknownMemberType=false
# matplotlib's keywords have no types

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import polars as pl

from ngsim_assets.f1.assessment.scans import Running, SessionScans, running

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STATUSES = {
    "1": ("clear", "#009e73"),
    "2": ("yellow", "#f0e442"),
    "4": ("safety car", "#e69f00"),
    "5": ("red flag", "#d55e00"),
    "6": ("virtual safety car", "#56b4e9"),
    "7": ("VSC ending", "#0072b2"),
}
"""Name and colour of each code; colours of Okabe and Ito (2008), colour-blind safe."""

KINDS = {"safety_car": "4", "virtual_safety_car": "6", "red_flag": "5"}
"""The code whose colour a phase has."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Minutes from the first start of the session, or of its feed where none was told.

    Attributes:
        ran: when the session ran.
        zero: minute 0, ms. end: of the last span or lap, or the last message, ms.
    """

    ran: Running
    zero: int
    end: int

    @property
    def label(self) -> str:
        """What the axis says."""
        return "minutes from the start" if self.ran.spans else "minutes"

    def minutes(self, timestamp: str = "timestamp") -> pl.Expr:
        """Rows' times on this axis."""
        return ((self.ran.time(timestamp) - self.zero) / 60_000).alias("minutes")

    def at(self, time: int) -> float:
        """A time of rows on this axis."""
        return (time - self.zero) / 60_000

    @property
    def limits(self) -> tuple[float, float]:
        """Where the axis begins and ends, a little beyond the session."""
        end = self.at(self.end)
        return -0.02 * max(1.0, end), 1.02 * max(1.0, end)


def timeline(scans: SessionScans) -> Timeline:
    """The axis of time of a session."""
    ran = running(scans)
    if ran.spans:
        # who is on a lap when the flag falls still ends it
        last = scans.laps.select(end_of_lap(ran).max()).collect().item()
        return Timeline(ran, ran.spans[0][0], max(ran.spans[-1][1], last or 0))
    first, last = (
        scans.messages.select(ran.time().min().alias("first"), ran.time().max().alias("last"))
        .collect()
        .row(0)
    )
    return Timeline(ran, first or 0, last or 0)


def end_of_lap(ran: Running) -> pl.Expr:
    """When laps ended, in the time of `ran`."""
    if ran.of_feed:
        return pl.col("lap_end_ms")
    return pl.col("timestamp").dt.epoch("ms")


def spans_of_status(scans: SessionScans, axis: Timeline) -> list[tuple[float, float, str]]:
    """From and to, in minutes, and the code in force there."""
    told = (
        scans.track_status.select(axis.minutes(), "code")
        .drop_nulls()
        .sort("minutes", maintain_order=True)
        .collect()
    )
    rows: list[tuple[float, str]] = list(told.iter_rows())
    end = max([axis.limits[1], *(minute for minute, _ in rows)])
    return [(start, until, code) for (start, code), (until, _) in pairwise([*rows, (end, "")])]


def phases(scans: SessionScans, axis: Timeline) -> list[tuple[float, float, str]]:
    """From and to of neutralisations, in minutes, and the code of each."""
    names = ("start_ms", "end_ms") if axis.ran.of_feed else ("start_timestamp", "end_timestamp")
    told = scans.neutralisations.select(*names, "kind").collect()
    if not axis.ran.of_feed:
        told = told.with_columns(pl.col(names).dt.epoch("ms"))
    return [
        (axis.at(start), axis.at(axis.end if end is None else end), KINDS[kind])
        for start, end, kind in told.iter_rows()
        if start is not None
    ]


def shade(axis: Axes, spans: Iterable[tuple[float, float, str]]) -> None:
    """Phases as bands behind the axes."""
    for start, end, code in spans:
        axis.axvspan(start, end, color=STATUSES[code][1], alpha=0.35, linewidth=0, zorder=0)


def keys_of(codes: Iterable[str]) -> list[Any]:
    """Handles of a legend of codes."""
    from matplotlib.patches import Patch

    seen = set(codes)
    return [
        Patch(color=STATUSES[code][1], alpha=0.6, label=STATUSES[code][0])
        for code in STATUSES
        if code in seen
    ]
