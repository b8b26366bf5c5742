"""Where columns come from: declared for all, of columns that exist, as the stages use them."""

from __future__ import annotations

import pytest

from ngsim_assets.highway.clean import COMPLETED_FROM, MOVED_FROM
from ngsim_assets.highway.column_lineage import columns_behind, columns_of
from ngsim_assets.highway.data_versions import BUILT_FROM
from ngsim_assets.highway.reconstruction.segments import SUMMED

# what says which rows there are or what they mean, and comes from no column
SET = {
    "raw_trajectories": {"source_file", "source_row"},
    "quarantine": {"stage"},
    "traffic_state": {"duration", "cell_length"},
    "quality_report": {"metric", "stage", "unit", "definition", "source"},
}


@pytest.mark.parametrize("asset", BUILT_FROM)
def test_every_column_comes_from_columns_of_what_its_asset_is_built_from(asset: str) -> None:
    behind = columns_behind(asset)
    assert list(behind) == list(columns_of(asset))
    for sources in behind.values():
        for source, column in sources:
            assert source in BUILT_FROM[asset]
            assert column in columns_of(source)
    assert {column for column, sources in behind.items() if not sources} == SET.get(asset, set())


@pytest.mark.parametrize(
    ("asset", "source", "read"),
    [
        ("cleaned_trajectories", "validated_points", {*MOVED_FROM, *COMPLETED_FROM}),
        ("trajectory_segments", "cleaned_trajectories", set(SUMMED)),
    ],
)
def test_columns_come_from_those_that_the_stage_reads(
    asset: str, source: str, read: set[str]
) -> None:
    named = {
        column
        for sources in columns_behind(asset).values()
        for origin, column in sources
        if origin == source
    }
    # the partition's own columns are known without reading
    assert named - {"highway_id", "recording"} == read - {"highway_id", "recording"}
