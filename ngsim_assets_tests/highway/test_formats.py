"""Column layouts and spellings against the published ones, and feet to metres."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.highway.formats import (
    ARTERIAL_COLUMNS,
    DELIVERED,
    FREEWAY_COLUMNS,
    HEADERLESS,
    LAYOUTS,
    RAW_PHYSICAL,
    REQUIRED,
    US_SURVEY_FOOT,
    as_delivered,
    canonical_column,
    canonical_locations,
    decimals_of,
    is_metric_reconstruction,
    largest_of,
    physical,
    si_columns,
)
from ngsim_assets.highway.model import RAW_TRAJECTORIES
from ngsim_assets.highway.sites import SITES, US_101


def test_columns_are_those_published_in_order() -> None:
    assert len(DELIVERED) == 25
    assert " ".join(LAYOUTS["freeway_csv"].headers) == (
        "Vehicle_ID Frame_ID Total_Frames Global_Time Local_X Local_Y Global_X Global_Y v_Length "
        "v_Width v_Class v_Vel v_Acc Lane_ID Preceding Following Space_Headway Time_Headway"
    )
    assert " ".join(LAYOUTS["arterial_csv"].headers[14:20]) == (
        "O_Zone D_Zone Int_ID Section_ID Direction Movement"
    )
    assert {18: FREEWAY_COLUMNS, 24: ARTERIAL_COLUMNS, 25: DELIVERED} == HEADERLESS


def test_every_header_a_layout_writes_is_read_as_its_column() -> None:
    for layout in LAYOUTS.values():
        if layout.has_header:
            assert tuple(map(canonical_column, layout.headers)) == layout.columns


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("v_length", "v_length"),
        ("v_Length", "v_length"),
        ("Space_Hdwy", "space_headway"),
        ("Time_Hdwy", "time_headway"),
        ("Preceeding", "preceding"),
        ("Epoch_ms", "global_time"),
        ("Tot_Frames", "total_frames"),
        ("Org_Zone", "o_zone"),
        ("Dest_Zone", "d_zone"),
        ("Veh_Len", "v_length"),
        ("Intersection", "int_id"),
        ("Section", "section_id"),
        ("Preceding_Veh", "preceding"),
        ("Spacing", "space_headway"),
        ("Headway", "time_headway"),
        (" LOCAL X ", "local_x"),
        ("Timestamp", None),
        ("", None),
    ],
)
def test_spellings_met_in_the_wild(header: str, column: str | None) -> None:
    assert canonical_column(header) == column


def test_every_alias_of_a_site_leads_to_it() -> None:
    locations = canonical_locations()
    for key, site in SITES.items():
        assert all(locations[alias.lower()] == key for alias in (key, *site.aliases))


def test_physical_rows_hold_what_the_table_can() -> None:
    logical = RAW_TRAJECTORIES.schema
    for column, dtype in RAW_PHYSICAL.items():
        if column == "location":
            continue
        lowest, highest = (-(2**31), 2**31 - 1) if dtype == pl.Int32 else (-(2**63), 2**63 - 1)
        assert lowest < -largest_of(column) < largest_of(column) <= highest
        if isinstance(of_table := logical[column], pl.Decimal):
            assert (of_table.scale, 10**of_table.precision - 1) == (
                decimals_of(column),
                largest_of(column),
            )
    assert RAW_PHYSICAL["global_x"] == RAW_PHYSICAL["global_time"] == pl.Int64()
    assert set(REQUIRED) <= set(RAW_PHYSICAL)


def test_reconstruction_is_told_by_its_headers() -> None:
    assert is_metric_reconstruction(["Vehicle_ID", "Frame_ID", "LocalY", "Mean_Speed"])
    assert not is_metric_reconstruction(list(LAYOUTS["export"].headers))


def test_si_columns_convert_and_keep_nulls() -> None:
    schema = {c: d for c, d in RAW_TRAJECTORIES.schema.items() if isinstance(d, pl.Decimal)}
    raw = pl.DataFrame({c: [Decimal("10.5"), None] for c in schema}, schema=schema)
    si = pl.DataFrame(si_columns(physical(raw), US_101))
    assert si.columns == [
        "x_position",
        "y_position",
        "speed",
        "acceleration",
        "length",
        "width",
        "space_headway",
        "time_headway",
    ]
    assert si.row(0) == (*[pytest.approx(3.2004)] * 7, 10.5)
    assert si.row(1) == (None,) * 8


@given(st.lists(st.integers(-(10**9) + 1, 10**9 - 1), min_size=1))
def test_unscaled_integers_stand_for_the_number_a_decimal_is_read_as(values: list[int]) -> None:
    for column in ("local_x", "v_vel"):
        delivered = [Decimal(value).scaleb(-decimals_of(column)) for value in values]
        decimals = pl.Series(column, delivered, dtype=RAW_TRAJECTORIES.schema[column])
        unscaled = physical(decimals.to_frame())[column]
        assert unscaled.to_list() == values
        assert as_delivered(unscaled).to_list() == decimals.cast(pl.Float64).to_list()


def test_survey_foot_is_the_defined_ratio() -> None:
    assert pytest.approx(0.304800609601, abs=1e-12) == US_SURVEY_FOOT
