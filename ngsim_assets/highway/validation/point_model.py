"""TrajectoryPoint narrowed to one site: the ranges of its rows, in the model and nowhere else.

Belongs here: which field of a point is bounded by which fact of a site. Does not belong here:
the facts (sites.py), rules that need more than one row
(rules_across_rows.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from ngsim_assets.highway.model import TrajectoryPoint
from ngsim_assets.highway.sites import Interval, Site
from ngsim_assets.highway.validation.per_site import per_site
from ngsim_assets.quality.constraints import Source
from ngsim_assets.storage.schema import Column

_BOUNDS = ("ge", "gt", "le", "lt")


@per_site
def point_model(site: Site) -> type[TrajectoryPoint]:
    """The row model of `validated_points` at `site`.

    A subclass of TrajectoryPoint whose position, coordinates, speed, acceleration, size, lane
    and zones keep within what the site allows. Every narrowed field carries its `Source`.
    """
    limits = site.limits
    extent = f"extent of {site.title}"
    possible = "what vehicles and drivers can do (sites.py, Limits)"
    fields = {
        "x_position": _within("x_position", site.x, extent),
        "y_position": _within("y_position", site.y, extent),
        "longitude": _within("longitude", site.longitude, extent),
        "latitude": _within("latitude", site.latitude, extent),
        "speed": _within("speed", Interval(0, limits.speed), possible),
        "acceleration": _within(
            "acceleration", Interval(-limits.acceleration, limits.acceleration), possible
        ),
        "length": _within("length", limits.length, "sizes of road vehicles (sites.py, Limits)"),
        "width": _within("width", limits.width, "sizes of road vehicles (sites.py, Limits)"),
        "lane_id": _one_of("lane_id", tuple(site.lanes), f"lanes of {site.title}"),
    }
    codes = "FHWA data dictionary, arterial codes; 0 where a row stands between them"
    if site.origin_zones is not None:
        fields["o_zone"] = _within("o_zone", site.origin_zones, f"zones of {site.title}")
    if site.destination_zones is not None:
        fields["d_zone"] = _within("d_zone", site.destination_zones, f"zones of {site.title}")
    if site.arterial:
        fields["direction"] = _within("direction", Interval(0, 4), codes)
        fields["movement"] = _within("movement", Interval(0, 3), codes)
    name = "TrajectoryPoint_" + site.highway_id.replace("-", "_")
    # Keywords of create_model cannot be typed; every value is an (annotation, default) pair.
    narrowed: dict[str, Any] = {name: (annotation, ...) for name, annotation in fields.items()}
    return create_model(
        name, __base__=TrajectoryPoint, __doc__=f"A point at {site.title}.", **narrowed
    )


def _within(field: str, allowed: Interval, source: str) -> Any:
    """The field's annotation with these bounds in place of any it had."""
    bounds = Field(ge=allowed.low, le=allowed.high, allow_inf_nan=_finite(field))
    return _annotated(field, TrajectoryPoint.model_fields[field].annotation, bounds, source)


def _finite(field: str) -> bool | None:
    """Positions and measurements are finite; codes are integers, which always are."""
    column = _column(field)
    return False if column.dtype.is_float() else None


def _one_of(field: str, allowed: tuple[int, ...], source: str) -> Any:
    kind: Any = Literal[allowed]
    return _annotated(field, kind | None, Field(), source)


def _column(field: str) -> Column:
    metadata = TrajectoryPoint.model_fields[field].metadata
    return next(item for item in metadata if isinstance(item, Column))


def _annotated(field: str, kind: Any, constraint: Any, source: str) -> Any:
    info = TrajectoryPoint.model_fields[field]
    kept = [item for item in info.metadata if not any(hasattr(item, name) for name in _BOUNDS)]
    description = Field(description=info.description)
    return Annotated[(kind, description, constraint, *kept, Source(source))]  # pyright: ignore[reportInvalidTypeForm]
