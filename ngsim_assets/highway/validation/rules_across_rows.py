"""The rules that take more than one row: keys, positions, tracks, vehicles ahead and behind.

Belongs here: each rule as an expression over the evidence of evidence.py, what it means, where
its threshold is from. Does not belong here: rules about a row by itself (validation_rules.py),
the evidence.
"""

from __future__ import annotations

import polars as pl

from ngsim_assets.highway.sites import Site
from ngsim_assets.highway.validation import continuity, key_faults, position_faults, tracks
from ngsim_assets.highway.validation.parameters import ValidationParameters
from ngsim_assets.quality.rules import Rule

_REAL = "measured on the real excerpts of us-101, i-80 and peachtree"

_MOMENT = f"{continuity.MOMENT * tracks.FRAME:g} s"


def key_rules() -> list[Rule]:
    """Several rows of one vehicle at one time."""
    fault = pl.col("key_fault")
    return [
        Rule(
            "exact_duplicate",
            "reject",
            fault == key_faults.EXACT_DUPLICATE,
            "an earlier line of its file delivered the same values",
            "two logs report 704,000 such rows of us-101 in the unified export",
        ),
        Rule(
            "duplicate_across_files",
            "reject",
            fault == key_faults.DUPLICATE_ACROSS_FILES,
            "another file delivered the same observation, with as much or more in it",
            "compared on the columns both files have",
        ),
        Rule(
            "superseded",
            "reject",
            fault == key_faults.SUPERSEDED,
            "a later delivery gives other values for this vehicle and frame",
            "the later delivery wins",
        ),
        Rule(
            "key_conflict",
            "reject",
            fault == key_faults.KEY_CONFLICT,
            "its file gives other values for this vehicle and frame, and those lie nearer to "
            "the rows before and after",
            "one vehicle is in one place at a time",
        ),
    ]


def position_rules(parameters: ValidationParameters) -> list[Rule]:
    """Positions against the track they belong to, after looking at both neighbours."""
    fault = pl.col("position_fault")
    p = parameters
    return [
        Rule(
            "frozen",
            "reject",
            fault == position_faults.FROZEN,
            f"the position has been the same for {p.frozen_frames} frames or more while the "
            f"delivered speed says that {p.frozen_distance:g} m or more were driven",
            f"{_REAL}: 2 frames at most",
        ),
        Rule(
            "position_spike",
            "reject",
            fault == position_faults.SPIKE,
            f"up to {p.spike_rows} rows lie more than {p.along:g} m along or {p.lateral:g} m "
            f"across ({p.edge_factor:g} times that in the first and last {p.edge_frames} rows "
            "of a track) from where speed and neighbours put them, and leaving them out leaves "
            "a track that a vehicle can have driven",
            f"{_REAL}: below 0.4 m inside, 2.2 m at the ends of tracks",
        ),
        Rule(
            "teleport",
            "reject",
            fault == position_faults.TELEPORT,
            f"more than {p.spike_rows} rows in a row do so, and the rest of the track is longer",
            f"{_REAL}; a shift that carries more than {p.joint_rows:g} rows per tolerance is "
            "taken for a hand-over between cameras up to the site's largest step",
        ),
    ]


def track_rules(site: Site, parameters: ValidationParameters) -> list[Rule]:
    """What a track says of its own rows."""
    clip = site.limits.clipped_acceleration
    long_gap = (pl.col("frames_missing") + 1) * tracks.FRAME > parameters.long_gap + 1e-9
    return [
        Rule(
            "speed_contradicts_position",
            "flag",
            _off_pace(parameters),
            f"the delivered speed lies more than {parameters.speed:g} m/s outside the paces of "
            "the positions around it, or outside at all, and those of the rows around it lie "
            f"{parameters.speed_bias:g} m/s off in the median",
            f"{_REAL}: below 3.4 and 1.6 m/s",
        ),
        Rule(
            "acceleration_contradicts_speed",
            "flag",
            pl.col("acceleration_excess") > parameters.acceleration,
            f"the delivered acceleration lies more than {parameters.acceleration:g} m/s² outside "
            "the changes of the delivered speed around the row"
            + ("" if clip is None else f", which count up to {clip:.2f} m/s²"),
            f"{_REAL}: below 2.5 m/s²"
            + ("" if clip is None else "; the site's accelerations are clipped"),
        ),
        Rule(
            "map_contradicts_position",
            "flag",
            pl.col("displaced_on_map"),
            f"its state-plane coordinates lie more than {parameters.map_offset:g} m from where "
            "the local positions of its track and the coordinates of the rows around put them",
            f"{_REAL}: below 1 m",
        ),
        Rule(
            "line_out_of_order",
            "flag",
            pl.col("line_out_of_order"),
            "its line stands before one of an earlier frame of its vehicle, or behind one of a "
            "later; judged only where most lines of the track follow each other and all but "
            f"{100 * parameters.disorder:g} % are in order",
            "228 backward steps are reported of lankershim; in the unified export, which is in "
            "no order, under 3 % of a track's lines follow each other (measured)",
        ),
        Rule(
            "lane_jump",
            "flag",
            pl.col("lane_fault") == tracks.JUMP,
            "the lane changes by more than one between two frames",
            "neighbouring lanes have neighbouring numbers",
        ),
        Rule(
            "lane_blip",
            "flag",
            pl.col("lane_fault") == tracks.BLIP,
            "the lane is another for one frame, or skips a lane for up to 1.5 s, between rows "
            "in one lane; or does so between rows in two neighbouring lanes",
            "crossing one lane takes 5 to 6 s on average (Toledo & Zohar 2007)",
        ),
        Rule(
            "class_changes",
            "flag",
            pl.col("class_differs"),
            "its vehicle class is not the one its track usually has; vehicle_type is the usual",
            "a vehicle has one class",
        ),
        Rule(
            "length_changes",
            "flag",
            pl.col("length_differs"),
            "its length is not the one its track usually has",
            f"a vehicle has one length; {_REAL}: none changes",
        ),
        Rule(
            "width_changes",
            "flag",
            pl.col("width_differs"),
            "its width is not the one its track usually has",
            f"a vehicle has one width; {_REAL}: none changes",
        ),
        Rule(
            "gap",
            "flag",
            (pl.col("frames_missing") > 0) & ~long_gap,
            "frames of its vehicle are missing before it, few enough to be filled in by cleaning "
            f"({parameters.long_gap:g} s from row to row); one flag per gap",
            "ten frames a second; longest gap filled: CleaningParameters.gap_limit",
        ),
        Rule(
            "long_gap",
            "flag",
            long_gap,
            "frames of its vehicle are missing before it, too many to be filled in "
            f"(over {parameters.long_gap:g} s from row to row); one flag per gap",
            "ten frames a second; longest gap filled: CleaningParameters.gap_limit",
        ),
        Rule(
            "fewer_frames_than_total",
            "flag",
            pl.col("frames_seen") < pl.col("total_frames"),
            "its vehicle has fewer frames than Total_Frames says; flagged on its first row",
            "FHWA data dictionary",
        ),
    ]


def _off_pace(parameters: ValidationParameters) -> pl.Expr:
    """Delivered speeds that the positions around contradict."""
    by_itself = pl.col("speed_excess") > parameters.speed
    return by_itself | (pl.col("speed_bias") > parameters.speed_bias)


def leader_rules(parameters: ValidationParameters) -> list[Rule]:
    """What a row says of the vehicles ahead and behind, against their own believed rows."""
    off = (pl.col("space_headway") - pl.col("spacing")).abs()
    known = pl.col("spacing").is_not_nan()
    far_off = (off > parameters.headway) & known
    return [
        Rule(
            "overlap_with_leader",
            "flag",
            (pl.col("leader_gap") < -parameters.overlap) & pl.col("leader_gap").is_not_nan(),
            f"its front is more than {parameters.overlap:g} m ahead of the rear of its leader in "
            "the same lane",
            "two vehicles cannot be in one place; positions of both are noisy",
        ),
        Rule(
            "headway_contradicts_positions",
            "flag",
            far_off,
            f"its space headway is more than {parameters.headway:g} m from the distance between "
            "both fronts",
            f"{_REAL}: 2 mm",
        ),
        Rule(
            "headways_contradict_each_other",
            "flag",
            pl.col("headways_differ")
            & ~far_off
            & ~pl.col("headway_apart")
            & ~_off_pace(parameters),
            "its space headway is not what it drives at its speed in its time headway, beyond "
            "the rounding of the three, and neither space headway nor speed is contradicted "
            "by positions",
            f"FHWA data dictionary: Time_Headway is Space_Headway over v_Vel; {_REAL}",
        ),
        Rule(
            "leader_not_reciprocated",
            "flag",
            pl.col("unreciprocated"),
            "its leader names another vehicle as its follower, or one that it fails to name as its "
            f"leader for up to {_MOMENT} names it",
            f"{_REAL}: always reciprocated",
        ),
        Rule(
            "follower_not_reciprocated",
            "flag",
            pl.col("follower_unreciprocated"),
            "its follower names another vehicle as its leader, or had left or had not come by "
            f"then; or for up to {_MOMENT} it names another than before and after, while that one "
            "has no row then or the usual one still names it",
            f"{_REAL}: always reciprocated",
        ),
        Rule(
            "headway_jumps",
            "flag",
            pl.col("headway_apart") & ~known,
            f"for up to {_MOMENT} its space headway lies more than {parameters.headway_jump:g} m "
            "from those before and after, which agree, and its leader's own row is not there to "
            "tell",
            f"{_REAL}: one leader's headway changes by less than 2.3 m from row to row",
        ),
        Rule(
            "leader_changes_alone",
            "flag",
            pl.col("leader_lone") & ~known,
            f"for up to {_MOMENT} it names another leader than before and after while its space "
            "headway goes on, and that vehicle's own row is not there to tell",
            f"{_REAL}: a leader that is another for a moment is 5 m or more nearer or further",
        ),
        Rule(
            "leader_not_on_the_road",
            "flag",
            pl.col("leader_away"),
            "its leader has all its rows in this recording, but had left or had not come by then",
            "FHWA data dictionary: Preceding is the vehicle ahead in the same lane",
        ),
    ]


def across_rules(site: Site, parameters: ValidationParameters) -> list[Rule]:
    """Every rule that takes more than one row, over the evidence of evidence.py."""
    return [
        *key_rules(),
        *position_rules(parameters),
        *track_rules(site, parameters),
        *leader_rules(parameters),
    ]
