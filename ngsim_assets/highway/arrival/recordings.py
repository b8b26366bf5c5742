"""Which recording the rows of a file belong to: highways and frame origins become keys.

Belongs here: the decision, from counts of rows per origin. Does not belong here: the counting
(origins.py), any row.

A recording is told by its frame origin t0. Official ones are known by their t0 windows
(sites.py) and carry the official start in their key; others, simulated ones for instance, are
named after their own first minute. What was named once keeps its name: the recordings the
landing zone already holds are found again by their t0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.highway.errors import (
    NoRecording,
    OtherFrameInterval,
    TooManyRecordings,
    UnknownSite,
    UnusableClock,
)
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.sites import SITES, Site
from ngsim_assets.highway.validation.geodesy import projection

# An origin that fewer rows share than this, and a smaller share of its highway's largest
# recording in the file, is a broken clock or frame and no recording of its own. A vehicle
# stays on a real section for some 400 rows.
FEWEST_ROWS = 100
SMALLEST_SHARE = 0.05

# Four sites have ten recordings; a file with a hundred of one highway is one whose frames
# do not count from a common origin.
MOST_RECORDINGS = 100

# Milliseconds of true time within which origins are one: clocks are given to 0.1 s.
SLACK_MS = 1_000

# Origins that lie on one line over their frames, from which on this is how the file counts frames
# and not what broken clocks happen to look like.
_FEWEST_ON_A_LINE = 5

_GLOBAL_PER_FOOT = 1_000  # delivered coordinates are integers of 0.001 ft


@dataclass(frozen=True)
class Assignment:
    """Where rows go.

    Attributes:
        keys: the partitions. t0: frame origin of each in the file's clock unit, None where
            the rows share none.
        owner: per origin the position of its partition in `keys`, -1 where none takes it.
    """

    keys: tuple[PartitionKey, ...]
    t0: tuple[int | None, ...]
    owner: NDArray[np.int32]


@dataclass(frozen=True)
class _Group:
    """Origins of one highway that are one recording, with what strayed from it."""

    key: PartitionKey
    t0: int | None
    origins: NDArray[np.int32]


def assign_recordings(
    origins: pl.DataFrame,
    source: str,
    *,
    known: Mapping[PartitionKey, int | None],
    highway: str | None = None,
    recording: str | None = None,
    coordinates: Callable[[], Iterable[pl.DataFrame]] = tuple,
) -> Assignment:
    """Give each origin of a file to a recording.

    Args:
        origins: `Origins.frame()`: origin, highway_id, t0, rows, first_frame.
        source: the file, for messages.
        known: recordings that have a name already, with their t0.
        highway: site of rows that name none. recording: recording of all rows.
        coordinates: frames with global_x, global_y and o_zone as delivered, looked at only
            where neither the file nor its clock tells the site.

    Rows that name no site although others of the file do stay unassigned. Rows without a
    readable frame or time belong to the file's recording if it holds exactly one. An origin
    that no recording shares is taken for a broken clock; its rows go to the nearest recording,
    where validation rejects them.

    Raises UnknownSite, NoRecording, OtherFrameInterval, TooManyRecordings, UnusableClock.
    """
    sited = _with_sites(origins, source, highway, coordinates)
    groups: list[_Group] = []
    for highway_id, part in _by_highway(sited):
        _refuse_other_interval(SITES[highway_id], part, source)
        if recording is not None:
            groups.append(_told(PartitionKey(highway_id, recording), part))
        elif part["t0"].count():
            groups += _told_apart(SITES[highway_id], part.drop_nulls("t0"), source, known)
    if not groups:
        raise NoRecording(source)
    owner = np.full(origins.height, -1, np.int32)
    for place, group in enumerate(groups):
        owner[group.origins] = place
    if len(groups) == 1:
        here = groups[0].key.highway_id
        clockless = sited.filter(
            pl.col("t0").is_null() & (pl.col("highway_id").fill_null(here) == here)
        )
        owner[clockless["origin"].to_numpy()] = 0
    return Assignment(
        tuple(group.key for group in groups), tuple(group.t0 for group in groups), owner
    )


def _by_highway(sited: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    named = sited.drop_nulls("highway_id").partition_by("highway_id", as_dict=True)
    return sorted((str(highway_id), part) for (highway_id,), part in named.items())


def _refuse_other_interval(site: Site, part: pl.DataFrame, source: str) -> None:
    """Refuse a file whose frames have another length: its origins drift with the frame number.

    Taken for what it is not, such a file is one recording whose rows but for one frame all have
    a broken clock.
    """
    clocked = part.drop_nulls("t0").sort("first_frame", "t0")
    frame, t0, rows = (clocked[name].to_numpy() for name in ("first_frame", "t0", "rows"))
    apart = np.diff(frame.astype(np.int64))
    drifts = np.diff(t0)[apart > 0] / apart[apart > 0]
    whole = drifts[drifts == np.round(drifts)].astype(np.int64)
    values, counts = np.unique(whole[whole != 0], return_counts=True)
    if not values.size:
        return
    drift = int(values[counts.argmax()])
    _, line = np.unique(t0 - drift * frame.astype(np.int64), return_inverse=True)
    on_line = rows[line == np.bincount(line, weights=rows).argmax()]
    shared = 2 * on_line.max() > on_line.sum()  # by rows of one recording, and strays beside it
    if not shared and on_line.size >= _FEWEST_ON_A_LINE and 2 * on_line.sum() > rows.sum():
        frame_ms = site.clock.frame_ms
        raise OtherFrameInterval(source, site.highway_id, frame_ms + drift, frame_ms)


def _told(key: PartitionKey, part: pl.DataFrame) -> _Group:
    """The recording the user names. Its t0 is that of most rows, None if no half agrees."""
    clocked = part.drop_nulls("t0").sort("t0")
    rows = clocked["rows"].to_numpy()
    agreed = rows.size > 0 and 2 * rows.max() >= rows.sum()
    t0 = int(clocked["t0"][int(rows.argmax())]) if agreed else None
    return _Group(key, t0, part["origin"].to_numpy())


def _told_apart(
    site: Site, part: pl.DataFrame, source: str, known: Mapping[PartitionKey, int | None]
) -> list[_Group]:
    """Recordings of one highway by their origins, all of which have a t0."""
    part = part.sort("t0")
    t0, rows, first_frame, origin = (
        part[name].to_numpy() for name in ("t0", "rows", "first_frame", "origin")
    )
    slack = SLACK_MS // site.clock.origin_scale
    clusters: list[tuple[PartitionKey | None, NDArray[np.bool_] | slice]] = []
    named = np.zeros(t0.size, np.bool_)
    for key, low, high in _windows(site, known, slack):
        inside = (t0 >= low) & (t0 <= high) & ~named
        if inside.any():
            clusters.append((key, inside))
            named |= inside
    free = np.flatnonzero(~named)
    starts = np.flatnonzero(np.diff(t0[free], prepend=t0[free][:1] - slack - 1) > slack)
    sums = np.add.reduceat(rows[free], starts) if starts.size else starts
    usable = _in_calendar(site, t0[free][starts])
    largest = max([int(rows[inside].sum()) for _, inside in clusters], default=0)
    largest = max(largest, int(sums[usable].max(initial=0)))
    accepted = usable & ((sums >= FEWEST_ROWS) | (sums >= SMALLEST_SHARE * largest))
    if accepted.sum() > MOST_RECORDINGS:
        raise TooManyRecordings(source, site.highway_id, int(accepted.sum()))
    ends = np.append(starts[1:], free.size)
    for start, end in zip(starts[accepted], ends[accepted], strict=True):
        inside = np.zeros(t0.size, np.bool_)
        inside[free[start:end]] = True
        clusters.append((None, inside))
        named |= inside

    if not clusters:
        raise UnusableClock(source, int(t0[0]))

    # A recording's own t0 is the one most of its rows share; of equals the earliest.
    centres = np.array([t0[inside][rows[inside].argmax()] for _, inside in clusters])
    taken = {official.key for official in site.recordings}
    taken |= {key.recording for key in known if key.highway_id == site.highway_id}
    nearest = _nearest(centres, t0)
    groups: dict[PartitionKey, _Group] = {}
    for place in np.argsort(centres, kind="stable"):
        key, inside = clusters[place]
        if key is None:
            key = _name(site, int(centres[place]), int(first_frame[inside].min()), taken)
        members = inside | (~named & (nearest == place))
        groups[key] = _Group(key, int(centres[place]), origin[members])
    return list(groups.values())


def _windows(
    site: Site, known: Mapping[PartitionKey, int | None], slack: int
) -> list[tuple[PartitionKey, int, int]]:
    """Ranges of t0 that have a name: the official ones, then those met before."""
    official = [
        (PartitionKey(site.highway_id, official.key), *official.t0) for official in site.recordings
    ]
    named = {key for key, _, _ in official}
    met = [
        (key, t0 - slack, t0 + slack)
        for key, t0 in sorted(known.items())
        if key.highway_id == site.highway_id and t0 is not None and key not in named
    ]
    return official + met


def _nearest(centres: NDArray[np.int64], t0: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of the centre next to each t0, the earlier of two equally near."""
    order = np.argsort(centres, kind="stable")
    ordered = centres[order]
    after = np.clip(np.searchsorted(ordered, t0), 0, ordered.size - 1)
    before = np.maximum(after - 1, 0)
    is_before = np.abs(t0 - ordered[before]) <= np.abs(ordered[after] - t0)
    return order[np.where(is_before, before, after)]


def _in_calendar(site: Site, t0: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether frames that count from t0 have a date, with years to spare for any frame number."""
    first, last = (
        datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000 // site.clock.origin_scale
        for year in (10, 9990)
    )
    return (t0 >= first) & (t0 <= last)


def _name(site: Site, t0: int, first_frame: int, taken: set[str]) -> PartitionKey:
    """New key after the first minute; the second is added where that minute is taken."""
    milliseconds = t0 * site.clock.origin_scale + site.clock.frame_ms * first_frame
    start = datetime.fromtimestamp(milliseconds // 1000, UTC).astimezone(site.time_zone)
    name = _label(start, "minutes")
    while name in taken:
        name = _label(start, "seconds")
        start += timedelta(seconds=1)
    taken.add(name)
    return PartitionKey(site.highway_id, name)


def _label(start: datetime, precision: str) -> str:
    return start.replace(tzinfo=None).isoformat(timespec=precision).replace(":", "")


def _with_sites(
    origins: pl.DataFrame,
    source: str,
    highway: str | None,
    coordinates: Callable[[], Iterable[pl.DataFrame]],
) -> pl.DataFrame:
    """Origins with the highway filled in where something other than the row tells it."""
    if highway is not None:
        return origins.with_columns(pl.col("highway_id").fill_null(highway))
    if origins["highway_id"].count() or not origins["t0"].count():
        return origins
    by_clock = pl.coalesce(
        pl.when(pl.col("t0").is_between(*official.t0)).then(pl.lit(site.highway_id))
        for site in SITES.values()
        for official in site.recordings
    )
    sited = origins.with_columns(by_clock.alias("highway_id"))
    told = (
        sited.drop_nulls("highway_id")
        .group_by("highway_id")
        .agg(pl.col("rows").sum())
        .sort("rows", "highway_id", descending=[True, False])
    )
    rest = told["highway_id"][0] if told.height else _site_by_coordinates(coordinates())
    if rest is None:
        raise UnknownSite(source)
    # What reads like no clock at all may still belong to the file's only recording.
    return sited.with_columns(
        pl.when(pl.col("t0").is_not_null())
        .then(pl.col("highway_id").fill_null(rest))
        .otherwise(pl.col("highway_id"))
    )


def _site_by_coordinates(frames: Iterable[pl.DataFrame]) -> str | None:
    """The site most rows lie in, None if they lie in none or say nothing.

    Lankershim Boulevard crosses US-101: where two sites hold the same rows, the arterial is the
    one whose rows have an origin zone.
    """
    boxes = {name: projection(site) for name, site in SITES.items()}
    inside = dict.fromkeys(SITES, 0)
    arterial = freeway = 0
    for frame in frames:
        easting = pl.col("global_x") / _GLOBAL_PER_FOOT
        northing = pl.col("global_y") / _GLOBAL_PER_FOOT
        counts = frame.select(
            pl.col("o_zone").count(),
            **{
                name: (
                    easting.is_between(box.easting.low, box.easting.high)
                    & northing.is_between(box.northing.low, box.northing.high)
                ).sum()
                for name, box in boxes.items()
            },
        ).row(0, named=True)
        arterial += counts["o_zone"]
        freeway += frame.height - counts["o_zone"]
        for name in SITES:
            inside[name] += counts[name]
    best = max(SITES, key=lambda name: (inside[name], SITES[name].arterial == (arterial > freeway)))
    return best if inside[best] else None
