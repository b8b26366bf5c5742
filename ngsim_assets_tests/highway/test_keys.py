"""Partition keys and trajectory ids: one text form, the same everywhere."""

from __future__ import annotations

from datetime import date
from functools import partial
from uuid import UUID

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.errors import BadPartitionKey
from ngsim_assets.highway.keys import PartitionKey, trajectory_id, trajectory_ids
from ngsim_assets.highway.sites import SITES

recordings = st.datetimes().map(lambda at: at.strftime("%Y-%m-%dT%H%M").zfill(15))


@settings(deadline=None)
@given(st.sampled_from(sorted(SITES)), recordings, st.sampled_from(["", "07"]))
def test_text_and_back(highway_id: str, recording: str, seconds: str) -> None:
    key = PartitionKey(highway_id, recording + seconds)
    assert PartitionKey.parse(str(key)) == key
    assert str(key) == f"{highway_id}|{recording}{seconds}"
    assert key.date == date.fromisoformat(recording[:10])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "us-101",
        "us-101|",
        "|2005-06-15T0750",
        "us-102|2005-06-15T0750",
        "US-101|2005-06-15T0750",
        "us-101|2005-06-15T07:50",
        "us-101|2005-06-15T075",
        "us-101|2005-06-15T07501",
        "us-101|2005-13-15T0750",
        "us-101|2005-06-31T0750",
        "us-101|2005-06-15T2460",
        "us-101|2005-06-15T0750|x",
        "us-101|2005-06-15T0750\n",
        "us-101|../../etc",
        "us-101|2005-06-15T０750",
        "2005-06-15T0750|us-101",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadPartitionKey, match="us-101"):
        PartitionKey.parse(text)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_text_makes_an_unsafe_folder_name(text: str) -> None:
    try:
        key = PartitionKey.parse(text)
    except BadPartitionKey:
        return
    assert set(key.recording) <= set("0123456789-T")


def test_trajectory_ids_are_fixed_for_ever() -> None:
    name = trajectory_id("us-101", "2005-06-15T0750", 17)
    assert UUID(name).version == 5
    assert name == "d778d740-00f3-5d7f-8470-c44407fc24be"
    assert name != trajectory_id("us-101", "2005-06-15T0805", 17)
    assert name != trajectory_id("i-80", "2005-06-15T0750", 17)


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-5, 2**31 - 1), max_size=40))
def test_a_column_of_ids_is_that_of_its_vehicles(vehicles: list[int | None]) -> None:
    column = pl.Series("vehicle_id", vehicles, pl.Int32)
    names = trajectory_ids("i-80", "2005-04-13T1600", column)
    assert names.name == "trajectory_id"
    assert names.dtype == pl.String
    assert names.to_list() == [
        None if vehicle is None else trajectory_id("i-80", "2005-04-13T1600", vehicle)
        for vehicle in vehicles
    ]


def test_ids_in_a_lazy_plan() -> None:
    named = (
        pl.LazyFrame({"vehicle_id": [1, 2, 1]})
        .with_columns(
            trajectory_id=pl.col("vehicle_id").map_batches(
                partial(trajectory_ids, "i-80", "2005-04-13T1600"), pl.String
            )
        )
        .collect()
    )
    assert named["trajectory_id"].n_unique() == 2
