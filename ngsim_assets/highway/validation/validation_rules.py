"""The rules a delivered row is judged by: what is wrong, how bad it is, where the limit is from.

Belongs here: every rule by name, and the numbers they use. Ranges come from the site's point
model; rules that take more than one row read evidence that validate.py gathers from the
kernels. Does not belong here: the gathering.

Rejected is what would corrupt a trajectory: a row without a place in time and space, a value no
vehicle can have, a copy, a position its own track contradicts. Flagged is what an analyst must
know although the position is sound. Values that say "not known" in the source's own way (lane
9999, headway 9999.99, zone 0) are neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ngsim_assets.highway.formats import REQUIRED
from ngsim_assets.highway.sites import Site
from ngsim_assets.highway.validation import key_faults, position_faults, tracks
from ngsim_assets.highway.validation.per_site import per_site
from ngsim_assets.highway.validation.point_model import point_model
from ngsim_assets.highway.validation.points import ASSUMED_CLASS, LANE_NOT_TOLD, VEHICLE_TYPES
from ngsim_assets.highway.validation.position_faults import PositionLimits
from ngsim_assets.quality.constraints import constraint_rules
from ngsim_assets.quality.rules import Rule, markdown

_REAL = "measured on the real excerpts of us-101, i-80 and peachtree"


@dataclass(frozen=True, slots=True)
class ValidationParameters:
    """Thresholds of the rules that take more than one row. Ranges are the site's.

    Attributes:
        along, lateral: m a position may lie from where its neighbours and the delivered speeds
            put it. The real excerpts stay below 0.4 m inside a track.
        edge_frames, edge_factor: the first and last rows of a track, where NGSIM delivers raw
            detections at a constant speed, and how much further off they may lie. The real
            excerpts stay below 2.2 m there.
        joint_rows: how many rows a shift of one tolerance must carry to be believed as a shift
            (a hand-over between cameras) and not blamed as a fault.
        spike_rows: up to so many displaced rows in a row are called a spike.
        blind: s without rows after which only the top speed bounds the way driven.
        frozen_frames, frozen_distance: a position held for so many frames while the delivered
            speed says so many m were driven. Real tracks hold one for 2 frames at their start.
        speed: m/s the delivered speed may lie outside the paces around the row. The real
            excerpts stay below 3.4, simulated ones with severe camera noise below 2.5.
        overlap: m a front may be ahead of the leader's rear, both positions being noisy.
        headway: m between delivered and recomputed space headway; the real ones agree to 2 mm.
    """

    along: float = 1.0
    lateral: float = 1.0
    edge_frames: int = 6
    edge_factor: float = 3.0
    joint_rows: float = 10.0
    spike_rows: int = 5
    blind: float = 2.0
    frozen_frames: int = 5
    frozen_distance: float = 1.0
    speed: float = 4.0
    overlap: float = 0.5
    headway: float = 0.5

    def position_limits(self, site: Site) -> PositionLimits:
        """What the position kernel takes, together with what `site` allows."""
        limits = site.limits
        # Exact types: the kernel is compiled for them.
        return PositionLimits(
            along=float(self.along),
            lateral=float(self.lateral),
            largest=float(limits.step),
            edge_frames=self.edge_frames,
            edge_factor=float(self.edge_factor),
            top_speed=float(limits.speed),
            lateral_speed=float(limits.lateral_speed),
            acceleration=float(limits.acceleration),
            blind=float(self.blind),
            joint_rows=float(self.joint_rows),
            spike_rows=self.spike_rows,
            frozen_frames=self.frozen_frames,
            frozen_distance=float(self.frozen_distance),
            two_way=site.arterial,
        )


@per_site
def range_rules(site: Site) -> tuple[Rule, ...]:
    """The constraints of the site's point model: each row by itself."""
    # A row that cannot name its vehicle needs no second reason for having no trajectory; flags
    # are what comes of the rules.
    fields = point_model(site).model_fields.keys() - {"trajectory_id", "flags"}
    return tuple(constraint_rules(point_model(site), fields=fields))


def own_rules() -> list[Rule]:
    """Rules beside the model that also need nothing but the row, as delivered, and its clock."""
    unreadable = pl.col("source_text").is_not_null()
    missing = pl.any_horizontal(pl.col(name).is_null() for name in REQUIRED)
    off_site = pl.col("global_x").is_not_null() & pl.col("global_y").is_not_null()
    classes = ", ".join(f"{code} {name}" for code, name in VEHICLE_TYPES.items())
    return [
        Rule(
            "unreadable_cell",
            "reject",
            unreadable & missing,
            "its line holds text that is not a value, in a column no row can do without",
            f"required: {', '.join(REQUIRED)}",
        ),
        Rule(
            "clock_off_frame_grid",
            "reject",
            pl.col("clock_error") != 0,
            "its time is not the recording's origin plus 100 ms per frame",
            "all rows of a recording share Global_Time - 100 * Frame_ID (measured)",
        ),
        Rule(
            "optional_cell_unreadable",
            "flag",
            unreadable & ~missing,
            "its line holds text that is not a value, in a column it can do without; null there",
            "",
        ),
        Rule(
            "coordinates_off_site",
            "flag",
            off_site & pl.col("longitude").is_null(),
            "its state-plane coordinates lie off the site; longitude and latitude are null",
            "box of the site in degrees",
        ),
        Rule(
            "class_unknown",
            "flag",
            pl.col("v_class").is_null(),
            "it tells no vehicle class; the track's usual class is taken, or "
            f"{VEHICLE_TYPES[ASSUMED_CLASS]} if it has none",
            f"FHWA data dictionary: {classes}",
        ),
        Rule(
            "lane_not_told",
            "flag",
            pl.col("delivered_lane_id").is_in(LANE_NOT_TOLD),
            "its lane number says that the lane is not known; null",
            f"{' and '.join(map(str, LANE_NOT_TOLD))} as delivered (measured)",
        ),
    ]


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


def track_rules(parameters: ValidationParameters) -> list[Rule]:
    """What a track says of its own rows."""
    pace = (
        (pl.col("speed") > pl.col("pace_high") + parameters.speed)
        | (pl.col("speed") < pl.col("pace_low") - parameters.speed)
    ) & pl.col("pace_low").is_not_nan()
    return [
        Rule(
            "speed_contradicts_position",
            "flag",
            pace,
            f"the delivered speed lies more than {parameters.speed:g} m/s outside the paces of "
            "the positions around it",
            f"{_REAL}: below 3.4 m/s",
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
            "in one lane",
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
            pl.col("frames_missing") > 0,
            "frames of its vehicle are missing before it; one flag per gap",
            "ten frames a second",
        ),
        Rule(
            "fewer_frames_than_total",
            "flag",
            pl.col("frames_seen") < pl.col("total_frames"),
            "its vehicle has fewer frames than Total_Frames says; flagged on its first row",
            "FHWA data dictionary",
        ),
    ]


def leader_rules(parameters: ValidationParameters) -> list[Rule]:
    """What a row says of the vehicle ahead, against that vehicle's own believed rows."""
    off = (pl.col("space_headway") - pl.col("spacing")).abs()
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
            (off > parameters.headway) & pl.col("spacing").is_not_nan(),
            f"its space headway is more than {parameters.headway:g} m from the distance between "
            "both fronts",
            f"{_REAL}: 2 mm",
        ),
        Rule(
            "leader_not_reciprocated",
            "flag",
            pl.col("unreciprocated"),
            "its leader names another vehicle as its follower",
            f"{_REAL}: always reciprocated",
        ),
        Rule(
            "leader_not_on_the_road",
            "flag",
            pl.col("leader_away"),
            "its leader has all its rows in this recording, but had left or had not come by then",
            "FHWA data dictionary: Preceding is the vehicle ahead in the same lane",
        ),
    ]


def across_rules(parameters: ValidationParameters) -> list[Rule]:
    """Every rule that takes more than one row, over the evidence of evidence.py."""
    return [
        *key_rules(),
        *position_rules(parameters),
        *track_rules(parameters),
        *leader_rules(parameters),
    ]


def validation_rules(site: Site, parameters: ValidationParameters | None = None) -> list[Rule]:
    """Every rule of `site`, in the order in which reasons are listed."""
    chosen = ValidationParameters() if parameters is None else parameters
    return [*range_rules(site), *own_rules(), *across_rules(chosen)]


def rules_table(site: Site, parameters: ValidationParameters | None = None) -> str:
    """The rules of `site` as a markdown table, for the documentation."""
    return markdown(validation_rules(site, parameters))
