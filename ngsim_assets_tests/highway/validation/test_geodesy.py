"""The fitted projection is PROJ's, to a millimetre, and says nothing off the site."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from ngsim_assets.highway.sites import I_80, SITES, US_101, Interval, Site
from ngsim_assets.highway.validation.geodesy import WGS84, projection, wgs84


@cache
def transformer(from_crs: int, to_crs: int) -> Transformer:
    return Transformer.from_crs(from_crs, to_crs, always_xy=True)


INSIDE = st.floats(1e-6, 1 - 1e-6)


@pytest.mark.parametrize("site", SITES.values(), ids=list(SITES))
@settings(max_examples=50, deadline=None)
@given(INSIDE, INSIDE)
def test_below_a_millimetre_from_proj_anywhere_in_the_box(
    site: Site, along: float, across: float
) -> None:
    degrees = (
        site.longitude.low + across * (site.longitude.high - site.longitude.low),
        site.latitude.low + along * (site.latitude.high - site.latitude.low),
    )
    feet = transformer(WGS84, site.epsg).transform(*degrees)
    longitude, latitude = projection(site).degrees(*(np.array([axis]) for axis in feet))
    exact = transformer(site.epsg, WGS84).transform(*feet)
    metres = Geod(ellps="WGS84").inv(longitude[0], latitude[0], *exact)[2]
    assert metres < 0.001


@pytest.mark.parametrize("site", SITES.values(), ids=list(SITES))
def test_a_row_off_the_box_of_degrees_has_no_coordinates(site: Site) -> None:
    middle = (site.latitude.low + site.latitude.high) / 2
    feet = transformer(WGS84, site.epsg).transform(
        [site.longitude.low - 1e-5, site.longitude.low + 1e-5], [middle, middle]
    )
    longitude, latitude = projection(site).degrees(*(np.array(axis) for axis in feet))
    assert np.isnan(longitude).tolist() == [True, False]
    assert np.isnan(latitude).tolist() == [True, False]


def test_missing_and_far_coordinates_become_null() -> None:
    raw = pl.DataFrame(
        {
            "global_x": [6042866.232, None, 6042866.232, 0.0, 6451203.7],
            "global_y": [2133138.098, 2133138.098, None, 0.0, 1872258.4],
        },
        schema=dict.fromkeys(["global_x", "global_y"], pl.Decimal(12, 3)),
    )
    longitude, latitude = wgs84(raw, I_80)
    assert longitude.is_null().to_list() == [False, True, True, True, True]
    assert latitude.is_null().to_list() == [False, True, True, True, True]


def test_another_site_is_fitted_to_its_own_box() -> None:
    wider = replace(US_101, longitude=Interval(-118.40, -118.33))
    assert projection(wider).easting.low < projection(US_101).easting.low


def test_real_rows_lie_on_their_road(real_data: Path) -> None:
    raw = pl.read_csv(real_data / "ngsim" / "us101_i80_excerpt_feet.csv").rename(str.lower)
    for site in (US_101, I_80):
        rows = raw.filter(pl.col("location") == site.highway_id)
        longitude, latitude = wgs84(rows, site)
        assert longitude.is_between(site.longitude.low, site.longitude.high).all()
        assert latitude.is_between(site.latitude.low, site.latitude.high).all()
