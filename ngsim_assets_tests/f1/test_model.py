"""The tables as data: every column declared, every frame of the module has them."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.f1.model import F1_LAPS
from ngsim_assets.f1.origin import frame
from ngsim_assets.f1.tables import TABLES
from ngsim_assets.quality.constraints import constraint_rules
from ngsim_assets.storage.schema import Table, documentation_of


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_declared_described_and_compiles_to_rules(table: Table) -> None:
    assert {*table.partition_by, *table.sort_by} <= {*table.columns}
    assert all(row["description"] for row in documentation_of(table))
    assert constraint_rules(table.model)
    assert frame(table, []).schema == table.schema


def test_times_of_laps_are_whole_milliseconds_and_moments_are_utc() -> None:
    for name, column in F1_LAPS.columns.items():
        if name.endswith("_ms"):
            assert column.unit == "ms"
            assert column.dtype.is_integer()
        if name.endswith("timestamp"):
            assert column.dtype == pl.Datetime("us", "UTC")
