"""A model that changed: new columns are added, anything else is refused with the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import polars as pl
import pytest
from pydantic import Field

from ngsim_assets.storage import catalog
from ngsim_assets.storage.errors import SchemaMismatch
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Column, Table
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, THERE, Sample, samples


class WeighedSample(Sample):
    """One sample of one thing."""

    weight: Annotated[float | None, Field(description="New."), Column(pl.Float64(), "kg")]


class CountedSample(Sample):
    """One sample of one thing."""

    weight: Annotated[int | None, Field(description="New."), Column(pl.Int32(), "kg")]


WEIGHED = replace(SAMPLES, model=WeighedSample)
COUNTED = replace(SAMPLES, model=CountedSample)


def test_a_new_column_reads_as_null_in_old_rows(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    assert lake.scan(WEIGHED).select("weight").collect()["weight"].null_count() == 12
    with catalog.connect(lake, [WEIGHED]) as connection:
        assert connection.sql("SELECT count(weight), count(*) FROM samples").fetchall() == [(0, 12)]
    rows = samples(site="there").with_columns(weight=pl.lit(2.5))
    lake.replace(WEIGHED, THERE, [rows])
    read = lake.scan(WEIGHED).collect()
    assert read.schema == WEIGHED.schema
    assert read.filter(site="there")["weight"].to_list() == [2.5] * 12
    assert read.filter(site="here")["weight"].null_count() == 12
    assert lake.scan(SAMPLES).collect().schema == SAMPLES.schema  # older code reads on
    with catalog.connect(lake, [WEIGHED]) as connection:
        view = connection.sql("SELECT * FROM samples").pl()
    assert view.schema == WEIGHED.schema
    assert view["weight"].null_count() == 12


def test_a_changed_type_and_a_lost_column_are_refused(lake: ParquetStorage) -> None:
    lake.replace(WEIGHED, HERE, [samples().with_columns(weight=1.0)])
    version = lake.history(SAMPLES)[0].version
    with pytest.raises(SchemaMismatch, match="column weight is Float64 kg in the lake, Int32 kg"):
        lake.replace(COUNTED, HERE, [samples().with_columns(weight=1)])
    with pytest.raises(SchemaMismatch, match=r"weight is in the lake only.*ngsim migrate samples"):
        lake.replace(SAMPLES, HERE, [samples()])
    assert lake.history(SAMPLES)[0].version == version


def test_other_folders_are_refused(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    flat = Table(SAMPLES.name, Sample, ("site", "session"), ("site", "session"))
    with pytest.raises(SchemaMismatch, match="partitioned by day, site, kind, session"):
        lake.replace(flat, HERE, [samples()])
