"""Which injected faults validation catches, and which sound rows it blames.

Belongs here: what counts as caught and as a false alarm, per kind of fault. Does not belong
here: the faults (simulation/faults.py), the judgement (validate.py), any printing.

A labelled row is caught if it is rejected, for whatever reason, or carries a flag of a rule
EXPECTED for its kind: a flag by chance does not count. A missing row cannot carry anything; it
is caught if the first row after its gap carries the flag that gaps of its kind get.

A sound row is one without a label. It is a false alarm if it is rejected or carries any flag
but these three, which are true of it although the fault is another row's:

- `gap` or `long_gap` on the first row after rows that are missing, or that have another's id;
- `fewer_frames_than_total` on the first row of a vehicle that rows are missing of, or that has
  another's rows;
- a flag of PAIRED on a row whose leader or follower of that frame has a label: two rows
  contradict each other, and no third one tells which is wrong. Such rows are counted as
  `touched`, apart from the false alarms, so that nobody has to take the difference on trust.

The share of false alarms is of all sound rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

EXPECTED: Mapping[str, frozenset[str]] = {
    "exact_duplicate": frozenset({"exact_duplicate"}),
    "key_conflict": frozenset({"key_conflict"}),
    "position_spike": frozenset({"position_spike"}),
    "lateral_spike": frozenset({"position_spike"}),
    "teleport": frozenset({"teleport", "position_spike"}),
    "frozen_position": frozenset({"frozen"}),
    "speed_out_of_range": frozenset({"speed_above"}),
    "speed_contradicts_position": frozenset({"speed_contradicts_position"}),
    "acceleration_contradicts_speed": frozenset({"acceleration_contradicts_speed"}),
    "acceleration_out_of_range": frozenset({"acceleration_below", "acceleration_above"}),
    "negative_speed": frozenset({"speed_below"}),
    "negative_length": frozenset({"length_below"}),
    "negative_width": frozenset({"width_below"}),
    "negative_headway": frozenset({"space_headway_below"}),
    "class_out_of_range": frozenset({"vehicle_type_missing"}),
    "length_out_of_range": frozenset({"length_above"}),
    "width_out_of_range": frozenset({"width_above"}),
    "lane_out_of_range": frozenset({"lane_id_unknown", "lane_not_told"}),
    "lane_flip": frozenset({"lane_blip", "lane_jump"}),
    "class_change": frozenset({"class_changes"}),
    "length_change": frozenset({"length_changes", "length_above"}),
    "width_change": frozenset({"width_changes", "width_above"}),
    "coordinates_off_site": frozenset({"coordinates_off_site"}),
    "displaced_on_map": frozenset({"map_contradicts_position", "coordinates_off_site"}),
    "clock_off_grid": frozenset({"clock_off_frame_grid"}),
    "late_line": frozenset({"line_out_of_order"}),
    "short_gap": frozenset({"gap"}),
    "long_gap": frozenset({"long_gap"}),
    "overlap_with_leader": frozenset({"overlap_with_leader", "position_spike", "teleport"}),
    "wrong_headway": frozenset({"headway_contradicts_positions", "headway_jumps"}),
    "wrong_time_headway": frozenset({"headways_contradict_each_other"}),
    "wrong_leader": frozenset(
        {
            "headway_contradicts_positions",
            "leader_changes_alone",
            "leader_not_reciprocated",
            "leader_not_on_the_road",
            "overlap_with_leader",
        }
    ),
    "wrong_follower": frozenset({"follower_not_reciprocated"}),
    "swapped_ids": frozenset({"teleport", "position_spike"}),
    "unreadable_cell": frozenset({"unreadable_cell", "optional_cell_unreadable"}),
}
"""Kind of fault (fault_kinds.FAULTS) to the rules that say what it is."""

PAIRED = frozenset(
    {
        "overlap_with_leader",
        "headway_contradicts_positions",
        "leader_not_reciprocated",
        "follower_not_reciprocated",
    }
)
"""Rules that find two rows of one frame in contradiction."""

_GAPS = frozenset({"gap", "long_gap"})
_INCOMPLETE = "fewer_frames_than_total"

_NAMES = pl.List(pl.String())


class FalseAlarms(NamedTuple):
    """Sound rows that were blamed.

    Attributes:
        sound: rows without a label. blamed: those of them that are false alarms.
        touched: sound rows rightly found in contradiction with a faulty one beside them.
        by_rule: rule, rows; of blamed rows, in order of falling rows.
    """

    sound: int
    blamed: int
    touched: int
    by_rule: pl.DataFrame

    @property
    def share(self) -> float:
        """Of sound rows; 0 if there are none."""
        return self.blamed / self.sound if self.sound else 0.0


def detection(labels: pl.DataFrame, judged: pl.LazyFrame) -> pl.DataFrame:
    """How many rows of each kind of fault are caught.

    Args:
        labels: columns of faults.LABELS, `source_row` as in `judged`.
        judged: what `validate.judge` says of the faulty recording (vehicle_id, frame,
            source_row, reasons, flags, delivered preceding_id), from one file.

    Returns:
        fault (String), rows, caught (Int64), recall (Float64, 0 to 1), in order of fault.
        `overall` makes one row of it.
    """
    verdicts = judged.select("vehicle_id", "frame", "source_row", "reasons", "flags").collect()
    expected = pl.DataFrame(
        {"fault": list(EXPECTED), "expected": [sorted(rules) for rules in EXPECTED.values()]},
        schema={"fault": pl.String, "expected": _NAMES},
    )
    known = labels.join(expected, on="fault", how="left", maintain_order="left")
    present = known.filter(pl.col("row").is_not_null()).join(
        verdicts.select("source_row", "reasons", "flags"), on="source_row", how="left"
    )
    missing = _after_gaps(known.filter(pl.col("row").is_null()), verdicts)
    named = pl.col("flags").list.set_intersection("expected").list.len() > 0
    rejected = pl.col("reasons").list.len() > 0
    found = pl.concat(
        [
            present.select("fault", (rejected | named).fill_null(value=False).alias("found")),
            missing.select("fault", named.fill_null(value=False).alias("found")),
        ]
    )
    return (
        found.group_by("fault")
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("found").sum().cast(pl.Int64).alias("caught"),
        )
        .with_columns((pl.col("caught") / pl.col("rows")).alias("recall"))
        .sort("fault")
    )


def overall(found: pl.DataFrame) -> float:
    """Share of all labelled rows that `detection` counts as caught; 1 without any."""
    rows, caught = (int(found[name].sum()) for name in ("rows", "caught"))
    return caught / rows if rows else 1.0


def false_alarms(labels: pl.DataFrame, judged: pl.LazyFrame) -> FalseAlarms:
    """Which sound rows of the faulty recording are blamed; arguments as of `detection`."""
    verdicts = judged.select(
        "vehicle_id",
        "frame",
        "source_row",
        "preceding_id",
        "following_id",
        "reasons",
        "flags",
    ).collect()
    sound = verdicts.join(
        labels.filter(pl.col("row").is_not_null()), on="source_row", how="anti"
    ).with_columns(pl.concat_list("reasons", "flags").alias("rules"))
    odd = sound.filter(pl.col("rules").list.len() > 0)
    wrong = _labelled_keys(labels, verdicts)
    after = _first_after(wrong, verdicts)
    odd = (
        odd.join(after, on=["vehicle_id", "frame"], how="left")
        .join(wrong.select("vehicle_id").unique().with_columns(_short=True), "vehicle_id", "left")
        .join(_beside(odd, wrong, verdicts), on="source_row", how="left")
    )
    true_of_it = {"_after": _GAPS, "_short": frozenset({_INCOMPLETE}), "_beside": PAIRED}
    left = pl.col("rules")
    for told, rules in true_of_it.items():
        holds = pl.col(told).fill_null(value=False)
        left = pl.when(holds).then(left.list.set_difference(sorted(rules))).otherwise(left)
    odd = odd.with_columns(left.alias("left"))
    blamed = odd.filter(pl.col("left").list.len() > 0)
    paired = pl.col("rules").list.set_intersection(sorted(PAIRED)).list.len() > 0
    touched = odd.filter((pl.col("left").list.len() == 0) & paired)
    by_rule = (
        blamed.select(pl.col("left").explode().alias("rule"))
        .group_by("rule")
        .agg(pl.len().cast(pl.Int64).alias("rows"))
        .sort(["rows", "rule"], descending=[True, False])
    )
    return FalseAlarms(sound.height, blamed.height, touched.height, by_rule)


def _after_gaps(missing: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Missing rows, with the flags of the first row of their vehicle that comes after."""
    rows = verdicts.select("vehicle_id", "frame", "flags").drop_nulls(["vehicle_id", "frame"])
    return missing.sort("frame_id").join_asof(
        rows.sort("frame"),
        left_on="frame_id",
        right_on="frame",
        by="vehicle_id",
        strategy="forward",
        check_sortedness=False,
    )


def _labelled_keys(labels: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """vehicle_id and frame of every labelled row, as delivered and where it is missing from."""
    delivered = labels.join(verdicts.select("source_row", "frame"), on="source_row", how="left")
    return (
        delivered.select(
            "vehicle_id", pl.coalesce("frame", "frame_id").cast(pl.Int32).alias("frame")
        )
        .unique()
        .sort("vehicle_id", "frame")
    )


def _first_after(wrong: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """The first row of a vehicle after each of its labelled ones."""
    rows = verdicts.select("vehicle_id", "frame").drop_nulls().unique().sort("frame")
    return (
        wrong.with_columns((pl.col("frame") + 1).alias("next"))
        .sort("next")
        .join_asof(
            rows.with_columns(pl.col("frame").alias("found")),
            left_on="next",
            right_on="frame",
            by="vehicle_id",
            strategy="forward",
            check_sortedness=False,
        )
        .drop_nulls("found")
        .select("vehicle_id", pl.col("found").alias("frame"), pl.lit(value=True).alias("_after"))
        .unique()
    )


def _beside(odd: pl.DataFrame, wrong: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Rows whose leader or follower of the frame has a label, whoever names whom."""
    spoken = verdicts.join(wrong, on=["vehicle_id", "frame"], how="semi")
    pairs = pl.concat(
        [
            odd.select("source_row", "frame", pl.col(name).alias("other")).join(
                wrong, left_on=["other", "frame"], right_on=["vehicle_id", "frame"], how="semi"
            )
            for name in ("preceding_id", "following_id")
        ]
        + [
            odd.select("source_row", "frame", "vehicle_id")
            .join(
                spoken.select("frame", pl.col(name).alias("vehicle_id")),
                on=["vehicle_id", "frame"],
                how="semi",
            )
            .rename({"vehicle_id": "other"})
            for name in ("preceding_id", "following_id")
        ]
    )
    return pairs.select("source_row").unique().with_columns(_beside=True)
