"""State-plane feet to WGS84, fast: one polynomial per site, fitted to PROJ, evaluated by columns.

Belongs here: the projection and its inverse's fit. Does not belong here: which coordinates are
believed (rules_across_rows.py).

PROJ needs about 1 us per point and core, which is as much as everything else that happens to a
row. Over the two kilometres of a site its inverse projection is smooth, and a bivariate cubic
follows it to 1e-7 m; a test holds that below 1 mm.
"""

# numpy's stubs leave the results of a few functions used here untyped
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from ngsim_assets.highway.arrays import floats
from ngsim_assets.highway.sites import Interval, Site
from ngsim_assets.highway.validation.per_site import per_site

WGS84 = 4326
DEGREE = 3

Floats = npt.NDArray[np.float64]

# Chebyshev nodes along each axis of the fit: over-determined by far, and no larger error at the
# edge of the box than in its middle.
_NODES = 12
_EDGE_POINTS = 33


@dataclass(frozen=True)
class SiteProjection:
    """Longitude and latitude as cubics of easting and northing over the box of a site.

    Attributes:
        longitude, latitude: the box in degrees; what lies outside is not converted.
        easting, northing: the smallest box in US survey feet around it, where the fit holds.
        coefficients: shape (2, DEGREE + 1, DEGREE + 1), longitude first; entry [i, j] belongs
            to u^i v^j, where u and v are the position in the box from -1 to 1.
    """

    longitude: Interval
    latitude: Interval
    easting: Interval
    northing: Interval
    coefficients: Floats

    def degrees(self, easting: Floats, northing: Floats) -> tuple[Floats, Floats]:
        """Longitude and latitude [degree, WGS84] of state-plane positions [US survey ft].

        NaN where a position is NaN or lies outside the box.
        """
        boxes = (self.easting, self.northing, self.longitude, self.latitude)
        edges = np.array([(box.low, box.high) for box in boxes])
        return _degrees(easting, northing, edges, self.coefficients)


def wgs84(raw: pl.DataFrame, site: Site) -> tuple[pl.Series, pl.Series]:
    """Longitude and latitude [degree] of `global_x`, `global_y` [US survey ft], null off the site.

    NAD83, the datum of the delivered coordinates, is taken as WGS84, as PROJ does without
    grids: the two differ by one to two metres in California and Georgia.
    """
    feet = (floats(raw[name]) for name in ("global_x", "global_y"))
    longitude, latitude = projection(site).degrees(*feet)
    return (
        pl.Series("longitude", longitude, nan_to_null=True),
        pl.Series("latitude", latitude, nan_to_null=True),
    )


@per_site
def projection(site: Site) -> SiteProjection:
    """The projection of `site`, fitted to PROJ."""
    # here and not above: only who validates needs PROJ, and loading it takes a tenth of a second
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(site.epsg, WGS84, always_xy=True)
    from_degrees = Transformer.from_crs(WGS84, site.epsg, always_xy=True)
    # The image of the box of degrees is not a rectangle: follow its whole edge.
    along = np.linspace(0, 1, _EDGE_POINTS)
    longitudes = site.longitude.low + (site.longitude.high - site.longitude.low) * along
    latitudes = site.latitude.low + (site.latitude.high - site.latitude.low) * along
    grid = np.meshgrid(longitudes, latitudes)
    eastings, northings = from_degrees.transform(grid[0].ravel(), grid[1].ravel())
    easting = Interval(float(np.min(eastings)), float(np.max(eastings)))
    northing = Interval(float(np.min(northings)), float(np.max(northings)))

    nodes = np.cos((np.arange(_NODES) + 0.5) / _NODES * np.pi)
    u, v = (axis.ravel() for axis in np.meshgrid(nodes, nodes))
    at = to_degrees.transform(_from_unit(u, easting), _from_unit(v, northing))
    powers = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    terms = np.stack([u**i * v**j for i, j in powers], axis=1)
    coefficients = np.zeros((2, DEGREE + 1, DEGREE + 1))
    for which, degrees in enumerate(at):
        solved = np.linalg.lstsq(terms, degrees, rcond=None)[0]
        for (i, j), value in zip(powers, solved, strict=True):
            coefficients[which, i, j] = value
    return SiteProjection(site.longitude, site.latitude, easting, northing, coefficients)


def _from_unit(position: Floats, box: Interval) -> Floats:
    return (box.low + box.high) / 2 + position * (box.high - box.low) / 2


@njit(cache=True, nogil=True)
def _degrees(
    easting: Floats, northing: Floats, edges: Floats, coefficients: Floats
) -> tuple[Floats, Floats]:
    """Horner in u over Horner in v; `edges` are easting, northing, longitude, latitude."""
    longitude = np.full(easting.size, np.nan)
    latitude = np.full(easting.size, np.nan)
    middle_u = (edges[0, 0] + edges[0, 1]) / 2
    middle_v = (edges[1, 0] + edges[1, 1]) / 2
    half_u = (edges[0, 1] - edges[0, 0]) / 2
    half_v = (edges[1, 1] - edges[1, 0]) / 2
    degrees = np.empty(2)
    for row in range(easting.size):
        u = (easting[row] - middle_u) / half_u
        v = (northing[row] - middle_v) / half_v
        # NaN fails the comparison as well; a hair over one is rounding, judged in degrees
        if not (abs(u) < 1.001 and abs(v) < 1.001):
            continue
        for which in range(2):
            total = 0.0
            for i in range(DEGREE, -1, -1):
                inner = 0.0
                for j in range(DEGREE - i, -1, -1):
                    inner = inner * v + coefficients[which, i, j]
                total = total * u + inner
            degrees[which] = total
        if edges[2, 0] <= degrees[0] <= edges[2, 1] and edges[3, 0] <= degrees[1] <= edges[3, 1]:
            longitude[row] = degrees[0]
            latitude[row] = degrees[1]
    return longitude, latitude
