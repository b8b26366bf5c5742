"""Validation: every delivered row is either believed, in SI, or quarantined with its reasons.

Belongs here: the order in which a row is judged (by itself, against rows with its key, against
its track, against its leader) and what comes out. Does not belong here: rules and thresholds
(validation/), any I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.formats import physical
from ngsim_assets.highway.model import QUARANTINE, RAW_TRAJECTORIES, VALIDATED_POINTS
from ngsim_assets.highway.sites import Site
from ngsim_assets.highway.validation.evidence import NEIGHBOURLY, gather, gather_neighbours
from ngsim_assets.highway.validation.leaders import NEIGHBOURS, Context
from ngsim_assets.highway.validation.parameters import ValidationParameters
from ngsim_assets.highway.validation.points import clock_error, frame_origin, in_order, to_points
from ngsim_assets.highway.validation.rules_across_rows import across_rules
from ngsim_assets.highway.validation.validation_rules import (
    own_rules,
    range_rules,
    rules_table,
    validation_rules,
)
from ngsim_assets.quality.rules import FLAGS, REASONS, Rule, broken, names_of_broken

__all__ = [
    "NEIGHBOURLY",
    "NEIGHBOURS",
    "Judge",
    "SortedOut",
    "ValidationParameters",
    "accepted",
    "flag_counts",
    "judge",
    "neighbours",
    "neighbours_among",
    "reason_counts",
    "rejected",
    "rules_table",
    "validation_rules",
]

_POINT = list(VALIDATED_POINTS.columns)
_JUDGED = [name for name in _POINT if name != FLAGS]
_RAW = list(RAW_TRAJECTORIES.columns)

# Columns that raw rows and points share by name and not by value: the raw one is renamed.
_CONVERTED = ("lane_id", "o_zone", "d_zone", "space_headway", "time_headway")
_DELIVERED = {name: f"delivered_{name}" for name in _CONVERTED}


class SeveralRecordings(NgsimAssetsError):
    """Rows of more than one recording were to be judged as one: vehicle ids would collide."""

    def __init__(self, recordings: list[tuple[str, str]]) -> None:
        self.recordings = recordings
        names = ", ".join("|".join(recording) for recording in recordings)
        super().__init__(f"rows of {len(recordings)} recordings: {names}", "judge each by itself")


def judge(
    raw: pl.LazyFrame,
    site: Site,
    *,
    parameters: ValidationParameters | None = None,
    neighbours: pl.LazyFrame | None = None,
    t0: int | None = None,
    deliveries: Sequence[str] | None = None,
) -> pl.LazyFrame:
    """Every row of `raw` once, with what it is in SI and what is wrong with it.

    Rows are collected and judged at once (the kernels need whole tracks), so the result can be
    read several times at no cost. It does not depend on the order of rows, on how vehicles are
    split into calls as long as `neighbours` and `t0` are given, or on the number of threads.

    Args:
        raw: logical columns of RawTrajectory of whole vehicles of one recording.
        neighbours: what `neighbours()` made of the whole recording; by default of `raw`.
        t0: frame origin of the recording in the site's clock unit; by default the most
            frequent one of `raw`.
        deliveries: source files, earliest first; see `points.in_order`.

    Returns:
        The columns of TrajectoryPoint, `flags` among them, the raw columns (`delivered_lane_id`
        and the like where a point has a column of that name with another value) and `reasons`
        (empty: accepted). Both are lists of rule names in the order of `validation_rules`.
        Sorted by vehicle, frame, delivery and line. Of a row with reasons only these, `flags`
        and the raw columns mean anything.

    Raises:
        SeveralRecordings: `raw` holds more than one.
    """
    delivered = in_order(raw.collect().rechunk(), deliveries)
    _refuse_several(delivered)
    context = None if neighbours is None else neighbours.collect()
    bench = Judge(site, parameters=parameters, neighbours=context, t0=t0)
    points, masks = bench.hear(physical(delivered))
    return (
        points.with_columns(
            pl.col("vehicle_type", "trajectory_id").cast(pl.String),
            names_of_broken(masks, bench.flagging).alias(FLAGS),
        )
        .hstack(_beside(delivered, points))
        .with_columns(names_of_broken(masks, bench.rejecting).alias(REASONS))
        .lazy()
    )


class SortedOut(NamedTuple):
    """A part of a recording after judgement.

    Attributes:
        accepted: TrajectoryPoint columns, vehicle_type as Enum and trajectory_id as Categorical.
        rejected: QuarantinedRow columns, Decimals as unscaled integers.
        flags: rows per flag that any row of the part carries, of flags that any carries.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    flags: dict[str, int]


class Judge:
    """Judges a recording part by part; what all parts need is prepared once.

    As `judge`, without what only a reader of single verdicts wants, and in half the memory.
    Safe for several threads at once.

    Args:
        neighbours: of the whole recording; None if it is judged in one part.
        t0, deliveries: as for `judge`.
    """

    def __init__(
        self,
        site: Site,
        *,
        parameters: ValidationParameters | None = None,
        neighbours: pl.DataFrame | None = None,
        t0: int | None = None,
        deliveries: Sequence[str] | None = None,
    ) -> None:
        self._site = site
        self._parameters = ValidationParameters() if parameters is None else parameters
        self._context = None if neighbours is None else Context.of(neighbours)
        self._t0 = t0
        self._deliveries = deliveries
        self._own = [*range_rules(site), *own_rules()]
        self._across = across_rules(site, self._parameters)
        rules = [*self._own, *self._across]
        self.rejecting = [rule for rule in rules if rule.severity == "reject"]
        self.flagging = [rule for rule in rules if rule.severity == "flag"]

    def sort_out(self, rows: pl.DataFrame) -> SortedOut:
        """Judge whole vehicles, given as physical raw rows in any order."""
        rows = in_order(rows.rechunk(), self._deliveries)
        _refuse_several(rows)
        points, masks = self.hear(rows)
        wrong = pl.Series(_any(masks, self.rejecting))
        counts = {rule.name: int(masks[rule.name].sum()) for rule in self.flagging}
        flags = {name: count for name, count in counts.items() if count}
        points = points.with_columns(names_of_broken(masks, self.flagging).alias(FLAGS))
        if not wrong.any():
            return SortedOut(
                points, _quarantined(rows.clear(), masks.clear(), self.rejecting), flags
            )
        refused = _quarantined(rows.filter(wrong), masks.filter(wrong), self.rejecting)
        # points are the larger part of all this: nothing else is held while they are copied
        del rows, masks
        return SortedOut(points.filter(~wrong), refused, flags)

    def hear(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Every physical raw row, in order, as a point yet without flags, and the rules it breaks.

        The second frame has a Boolean column per rule, in the order of `validation_rules`.
        """
        site = self._site
        origin = frame_origin(rows, site.clock) if self._t0 is None else self._t0
        points = to_points(rows, site, origin)
        told = points.hstack(_beside(rows, points))
        by_itself = broken(told.with_columns(clock_error(site.clock, origin)), self._own)
        sound = ~_any(by_itself, self._own)
        on_grid = ~by_itself["clock_off_frame_grid"].to_numpy()
        evidence = gather(rows, points, site, self._parameters, sound, on_grid, self._context)
        across = broken(told.hstack(evidence.columns), self._across)
        return points.with_columns(evidence.computed).select(_JUDGED), by_itself.hstack(across)


def accepted(judged: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `judge` without a reason, as TrajectoryPoint columns."""
    return judged.filter(pl.col(REASONS).list.len() == 0).select(_POINT)


def rejected(judged: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `judge` with reasons, as delivered: QuarantinedRow columns, stage `validated`."""
    return judged.filter(pl.col(REASONS).list.len() > 0).select(
        *(pl.col(_DELIVERED.get(name, name)).alias(name) for name in _RAW),
        *_quarantine_only(),
    )


def flag_counts(judged: pl.LazyFrame) -> pl.LazyFrame:
    """Rows per flag that any row of `judge` carries: rule, rows; ordered by rule."""
    return _counts(judged, FLAGS)


def reason_counts(judged: pl.LazyFrame) -> pl.LazyFrame:
    """Rows per reason that any row of `judge` carries: rule, rows; ordered by rule."""
    return _counts(judged, REASONS)


def neighbours(
    raw: pl.LazyFrame, site: Site, *, parameters: ValidationParameters | None = None
) -> pl.LazyFrame:
    """What rules about leaders need of a whole recording: NEIGHBOURS columns, believed rows.

    A row whose position its own track contradicts is left out, so that a follower is not
    blamed for its leader's fault. Reads NEIGHBOURLY columns of `raw` and collects them at
    once; give the result to every `judge` of a part of that recording.
    """
    rows = physical(raw.select(NEIGHBOURLY).collect())
    return neighbours_among(rows, site, parameters=parameters).lazy()


def neighbours_among(
    rows: pl.DataFrame, site: Site, *, parameters: ValidationParameters | None = None
) -> pl.DataFrame:
    """`neighbours` of some whole vehicles, from physical raw rows.

    Those of a recording's parts below each other are those of the recording, if its parts are
    in order of vehicles.
    """
    chosen = ValidationParameters() if parameters is None else parameters
    return gather_neighbours(rows, site, chosen)


def _refuse_several(rows: pl.DataFrame) -> None:
    names = ("highway_id", "recording")
    if not rows.is_empty() and any((rows[name] != rows.item(0, name)).any() for name in names):
        raise SeveralRecordings(sorted(rows.select(names).unique().rows()))


def _counts(judged: pl.LazyFrame, column: str) -> pl.LazyFrame:
    return (
        judged.filter(pl.col(column).list.len() > 0)
        .select(pl.col(column).explode().alias("rule"))
        .group_by("rule")
        .agg(pl.len().cast(pl.Int64).alias("rows"))
        .sort("rule")
    )


def _quarantine_only() -> list[pl.Expr]:
    """The columns a quarantined row has beside the raw ones."""
    extra = {"stage": pl.lit("validated"), "reasons": pl.col(REASONS)}
    return [extra[name].alias(name) for name in QUARANTINE.columns if name not in _RAW]


def _quarantined(rows: pl.DataFrame, masks: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    reasons = names_of_broken(masks, rules).alias(REASONS)
    return rows.with_columns(reasons).select(*_RAW, *_quarantine_only())


def _beside(rows: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """The raw columns that points do not repeat as they are."""
    return pl.DataFrame(
        [
            rows[name].alias(_DELIVERED.get(name, name))
            for name in _RAW
            if name in _DELIVERED or name not in points.columns
        ]
    )


def _any(masks: pl.DataFrame, rules: Sequence[Rule]) -> npt.NDArray[np.bool_]:
    """Whether a row breaks any rejecting rule."""
    rejecting = [rule.name for rule in rules if rule.severity == "reject"]
    return masks.select(pl.any_horizontal(rejecting)).to_series().to_numpy()
