"""What follows from a site's facts alone is worked out once per process.

Belongs here: the remembering. A `Site` holds dictionaries and cannot be a cache key itself, so
only the sites of `sites.py` are remembered, by their key; any other is worked out every time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from ngsim_assets.highway.sites import SITES, Site

Result = TypeVar("Result")


def per_site(derive: Callable[[Site], Result]) -> Callable[[Site], Result]:
    """Decorate a function of one site whose result nobody changes."""
    known: dict[str, Result] = {}

    @wraps(derive)
    def remembered(site: Site) -> Result:
        if SITES.get(site.highway_id) != site:
            return derive(site)
        if site.highway_id not in known:
            known[site.highway_id] = derive(site)
        return known[site.highway_id]

    return remembered
