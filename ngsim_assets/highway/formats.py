"""The files NGSIM comes in: which columns stand where, how they are spelled, in which unit.

Belongs here: column layouts, header spellings, the integer form of raw rows, feet to metres.
Feet exist nowhere else. Does not belong here: any reading (source.py), any judgement of a value.

Layouts and spellings: FHWA data dictionary (doi:10.21949/1504477), the 2016 unified export of
data.transportation.gov (dataset 8ect-6jqj), and headers met in copies of both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from ngsim_assets.highway.model import RAW_TRAJECTORIES
from ngsim_assets.highway.sites import SITES, Site

FOOT = 0.3048
"""Metres in an international foot: local positions, lengths, speeds, headways."""

US_SURVEY_FOOT = 1200 / 3937
"""Metres in a US survey foot: state-plane coordinates (Global_X, Global_Y)."""

_LOGICAL = RAW_TRAJECTORIES.schema
_AFTER_LAST_DELIVERED = list(_LOGICAL).index("location") + 1

DELIVERED: tuple[str, ...] = tuple(_LOGICAL)[:_AFTER_LAST_DELIVERED]
"""Canonical names of the 25 columns a file can deliver, in the order of the unified export."""

FREEWAY_COLUMNS: tuple[str, ...] = (*DELIVERED[:14], *DELIVERED[20:24])
"""The 18 columns of a freeway file, in order."""

ARTERIAL_COLUMNS: tuple[str, ...] = DELIVERED[:24]
"""The 24 columns of an arterial file, in order."""

REQUIRED: tuple[str, ...] = ("vehicle_id", "frame_id", "global_time", "local_x", "local_y")
"""Columns without which a row says nothing about where a vehicle was when."""

LOCATIONS = pl.Enum(list(SITES))
"""Canonical site keys, the physical type of `location`."""


def decimals_of(column: str) -> int:
    """Decimals the table keeps of a numeric column: 3 of a position, 2 of a speed, 0 of an id."""
    dtype = _LOGICAL[column]
    return dtype.scale if isinstance(dtype, pl.Decimal) else 0


def largest_of(column: str) -> int:
    """Largest magnitude a numeric column can hold, in units of its last kept decimal.

    Int32 gives up its lowest value, which marks null while parsing, and Int64 everything past
    15 digits, which leaves the parser room to accumulate.
    """
    dtype = _LOGICAL[column]
    if isinstance(dtype, pl.Decimal):
        return 10**dtype.precision - 1
    return 2**31 - 1 if dtype == pl.Int32 else 10**15 - 1


def _physical(column: str) -> pl.DataType:
    if column == "location":
        return LOCATIONS
    return pl.Int32() if largest_of(column) < 2**31 else pl.Int64()


RAW_PHYSICAL = pl.Schema({name: _physical(name) for name in DELIVERED})
"""The 25 delivered columns in memory: unscaled integers, 12.345 ft of `local_x` is 12345."""

BATCH_SCHEMA = pl.Schema({**RAW_PHYSICAL, "source_row": pl.Int64(), "source_text": pl.String()})
"""What a reader yields: the delivered columns, their line, and its text where unreadable."""


# Spellings are compared without case and punctuation, so "v_Length", "v_length" and "V Length"
# are one. Beside the canonical names, these were met: the official dictionary's, those of older
# releases of the same files, and those of public copies.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "vehicle_id": ("veh_id",),
    "total_frames": ("tot_frames", "total_frame"),
    "global_time": ("epoch_ms",),
    "v_length": ("veh_len", "veh_length", "vehicle_length"),
    "v_width": ("veh_wid", "veh_width", "vehicle_width"),
    "v_class": ("veh_class", "vehicle_class"),
    "v_vel": ("veh_vel", "vehicle_velocity", "v_velocity"),
    "v_acc": ("veh_acc", "vehicle_acceleration", "v_acceleration"),
    "lane_id": ("lane", "lane_identification"),
    "o_zone": ("org_zone", "origin_zone"),
    "d_zone": ("dest_zone", "destination_zone"),
    "int_id": ("intersection", "intersection_id"),
    "section_id": ("section",),
    "preceding": ("preceeding", "proceeding", "preceding_veh", "preceding_vehicle"),
    "following": ("following_veh", "following_vehicle"),
    "space_headway": ("space_hdwy", "spacing"),
    "time_headway": ("time_hdwy", "headway"),
}


def _bare(header: str) -> str:
    return re.sub(r"[^a-z0-9]", "", header.lower())


_CANONICAL: dict[str, str] = {_bare(name): name for name in DELIVERED} | {
    _bare(spelling): name for name, spellings in _SPELLINGS.items() for spelling in spellings
}

# Columns only the Montanino-Punzo reconstruction has: it is in metres, smoothed, without a clock.
_RECONSTRUCTION = frozenset({"meanspeed", "meanaccel", "meanacceleration"})


def canonical_column(header: str) -> str | None:
    """Canonical name of a header cell in any spelling met so far, None if it is not NGSIM's."""
    return _CANONICAL.get(_bare(header))


def is_metric_reconstruction(headers: list[str]) -> bool:
    """Whether these headers are those of the Montanino-Punzo reconstruction (metres)."""
    return any(_bare(header) in _RECONSTRUCTION for header in headers)


def canonical_locations() -> dict[str, str]:
    """Every spelling of a site, in lower case, to its key; keys first, aliases after."""
    spellings = {key.lower(): key for key in SITES}
    for key, site in SITES.items():
        for alias in site.aliases:
            spellings.setdefault(alias.lower(), key)
    return spellings


@dataclass(frozen=True, slots=True)
class Layout:
    """One published file format, exact enough to write files that look delivered.

    Attributes:
        columns: canonical names in file order.
        headers: the header cells as published, empty where the format has none.
        separator: between cells; runs of blanks where it is a space.
        line_end: as published.
        bom: whether a UTF-8 byte order mark opens the file.
        quoted: whether every cell stands in double quotes.
        thousands: columns whose numbers over 999 are quoted and grouped, `"1,156"`.
        decimals: decimals printed per column; columns absent here are printed as short as
            they can be, `15` and `6.5`.
        widths: cell width per column where cells are padded on the left, else empty.
    """

    name: str
    columns: tuple[str, ...]
    headers: tuple[str, ...]
    separator: Literal[" ", ","]
    line_end: Literal["\r\n", "\n"]
    bom: bool = False
    quoted: bool = False
    thousands: frozenset[str] = frozenset()
    decimals: Mapping[str, int] = field(default_factory=dict[str, int])
    widths: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def has_header(self) -> bool:
        """Whether the first line names the columns."""
        return bool(self.headers)


_HEADERS: dict[str, str] = {
    "vehicle_id": "Vehicle_ID",
    "frame_id": "Frame_ID",
    "total_frames": "Total_Frames",
    "global_time": "Global_Time",
    "local_x": "Local_X",
    "local_y": "Local_Y",
    "global_x": "Global_X",
    "global_y": "Global_Y",
    "v_length": "v_Length",
    "v_width": "v_Width",
    "v_class": "v_Class",
    "v_vel": "v_Vel",
    "v_acc": "v_Acc",
    "lane_id": "Lane_ID",
    "o_zone": "O_Zone",
    "d_zone": "D_Zone",
    "int_id": "Int_ID",
    "section_id": "Section_ID",
    "direction": "Direction",
    "movement": "Movement",
    "preceding": "Preceding",
    "following": "Following",
    "space_headway": "Space_Headway",
    "time_headway": "Time_Headway",
    "location": "Location",
}

# The text files print every number with fixed decimals; CSV and export drop trailing zeros.
_TEXT_DECIMALS: dict[str, int] = {
    "local_x": 3,
    "local_y": 3,
    "global_x": 3,
    "global_y": 3,
    "v_length": 1,
    "v_width": 1,
    "v_vel": 2,
    "v_acc": 2,
    "space_headway": 2,
    "time_headway": 2,
}

# Widths give rows of about 150 bytes, as delivered; readers must not depend on them, since
# single blanks and tabs are met too.
_TEXT_WIDTHS: dict[str, int] = {
    "vehicle_id": 6,
    "frame_id": 8,
    "total_frames": 6,
    "global_time": 15,
    "local_x": 10,
    "local_y": 10,
    "global_x": 13,
    "global_y": 13,
    "v_length": 7,
    "v_width": 6,
    "v_class": 3,
    "v_vel": 8,
    "v_acc": 8,
    "lane_id": 4,
    "o_zone": 5,
    "d_zone": 5,
    "int_id": 3,
    "section_id": 3,
    "direction": 3,
    "movement": 3,
    "preceding": 6,
    "following": 6,
    "space_headway": 10,
    "time_headway": 9,
}


def _headers(columns: tuple[str, ...], **other: str) -> tuple[str, ...]:
    return tuple(other.get(name, _HEADERS[name]) for name in columns)


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "freeway_text",
            FREEWAY_COLUMNS,
            (),
            " ",
            "\r\n",
            decimals=_TEXT_DECIMALS,
            widths=_TEXT_WIDTHS,
        ),
        Layout("freeway_csv", FREEWAY_COLUMNS, _headers(FREEWAY_COLUMNS), ",", "\r\n"),
        Layout(
            "arterial_text",
            ARTERIAL_COLUMNS,
            (),
            " ",
            "\r\n",
            decimals=_TEXT_DECIMALS,
            widths=_TEXT_WIDTHS,
        ),
        Layout("arterial_csv", ARTERIAL_COLUMNS, _headers(ARTERIAL_COLUMNS), ",", "\r\n"),
        Layout(
            "export",
            DELIVERED,
            _headers(DELIVERED, v_length="v_length"),
            ",",
            "\r\n",
            bom=True,
            thousands=frozenset(
                {"total_frames", "preceding", "following", "space_headway", "time_headway"}
            ),
        ),
        Layout("api_csv", DELIVERED, DELIVERED, ",", "\n", quoted=True),
    )
}
"""Published formats by name: text, CSV, unified export and API."""

HEADERLESS: dict[int, tuple[str, ...]] = {
    len(columns): columns for columns in (FREEWAY_COLUMNS, ARTERIAL_COLUMNS, DELIVERED)
}
"""Columns of a file without header, by how many cells its rows have."""


def physical(raw: pl.DataFrame) -> pl.DataFrame:
    """`raw` with its Decimals as unscaled integers, of the types of RAW_PHYSICAL."""
    return raw.with_columns(
        column.to_physical().cast(RAW_PHYSICAL[column.name])
        for column in raw
        if isinstance(column.dtype, pl.Decimal)
    )


def as_delivered(column: pl.Series) -> pl.Series:
    """The numbers that unscaled integers stand for, in the unit of the file."""
    scale = 10 ** decimals_of(column.name)
    # Divided by numpy, as a Decimal is: Polars multiplies by the inverse, which is off by a bit.
    return pl.Series(column.name, column.to_numpy() / scale, nan_to_null=column.null_count() > 0)


def si_columns(rows: pl.DataFrame, site: Site) -> dict[str, pl.Series]:
    """SI columns of whichever physical raw ones `rows` has: unit conversion, nothing nulled.

    Returns columns by name: x_position, y_position, length, width, space_headway [m],
    speed [m/s], acceleration [m/s²], time_headway [s]. Local positions, lengths and speeds are
    international feet at every site of `sites.py`; `site` is where another unit would be told.
    """
    del site
    units = {
        "x_position": ("local_x", FOOT),
        "y_position": ("local_y", FOOT),
        "speed": ("v_vel", FOOT),
        "acceleration": ("v_acc", FOOT),
        "length": ("v_length", FOOT),
        "width": ("v_width", FOOT),
        "space_headway": ("space_headway", FOOT),
        "time_headway": ("time_headway", 1.0),
    }
    return {
        name: (as_delivered(rows[raw]) * unit).alias(name)
        for name, (raw, unit) in units.items()
        if raw in rows.columns
    }


def physical_from_si() -> dict[str, pl.Expr]:
    """The inverse of `si_columns` for writers: unscaled integers of the raw columns from SI ones.

    Reads x_position, y_position, length, width, easting, northing [m], speed [m/s] and
    acceleration [m/s²]; returns expressions by canonical name with the types of RAW_PHYSICAL.
    """
    units = {
        "local_x": ("x_position", FOOT),
        "local_y": ("y_position", FOOT),
        "global_x": ("easting", US_SURVEY_FOOT),
        "global_y": ("northing", US_SURVEY_FOOT),
        "v_length": ("length", FOOT),
        "v_width": ("width", FOOT),
        "v_vel": ("speed", FOOT),
        "v_acc": ("acceleration", FOOT),
    }
    return {
        raw: (pl.col(name) * (10 ** decimals_of(raw) / unit))
        .round()
        .cast(RAW_PHYSICAL[raw])
        .alias(raw)
        for raw, (name, unit) in units.items()
    }
