"""The rules a delivered row is judged by: what is wrong, how bad it is, where the limit is from.

Belongs here: the rules about a row by itself, whose ranges come from the site's point model, and
the list of all. Does not belong here: rules that take more than one row (rules_across_rows.py).

Rejected is what would corrupt a trajectory: a row without a place in time and space, a value no
vehicle can have, a copy, a position its own track contradicts. Flagged is what an analyst must
know although the position is sound. Values that say "not known" in the source's own way (lane
9999, headway 9999.99, zone 0) are neither.
"""

from __future__ import annotations

import polars as pl

from ngsim_assets.highway.formats import REQUIRED
from ngsim_assets.highway.sites import Site
from ngsim_assets.highway.validation.parameters import ValidationParameters
from ngsim_assets.highway.validation.per_site import per_site
from ngsim_assets.highway.validation.point_model import point_model
from ngsim_assets.highway.validation.points import ASSUMED_CLASS, LANE_NOT_TOLD, VEHICLE_TYPES
from ngsim_assets.highway.validation.rules_across_rows import across_rules
from ngsim_assets.quality.constraints import constraint_rules
from ngsim_assets.quality.rules import Rule, markdown


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


def validation_rules(site: Site, parameters: ValidationParameters | None = None) -> list[Rule]:
    """Every rule of `site`, in the order in which reasons are listed."""
    chosen = ValidationParameters() if parameters is None else parameters
    return [*range_rules(site), *own_rules(), *across_rules(site, chosen)]


def rules_table(site: Site, parameters: ValidationParameters | None = None) -> str:
    """The rules of `site` as a markdown table, for the documentation."""
    return markdown(validation_rules(site, parameters))
